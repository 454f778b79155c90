"""Embeddings as columns of predictions: null where there is nothing that they could be of."""

import numpy as np
import pyarrow as pa

from mmdist.prediction.answers import answer_columns, numbers_per_row, predictions_schema
from mmdist.spec.task import ClassificationSpec, RetrievalSpec

TASK = RetrievalSpec(width=2)


def test_embeddings_are_null_where_a_row_lacks_what_they_are_of() -> None:
    columns = answer_columns(TASK, ())
    image, text = (np.arange(8, dtype=np.float32).reshape(4, 2) + start for start in (0, 100))
    answers = {
        "image_embedding": image,
        "text_embedding": text,
        "image_present": np.array([1, 0, 1, 1], np.float32),
        "text_present": np.array([1, 1, 0, 1], np.float32),
    }
    arrays = columns.fill(answers, np.array([False, False, False, True]))
    assert [array.to_pylist() for array in arrays] == [
        [[0.0, 1.0], None, [4.0, 5.0], None],
        [[100.0, 101.0], [102.0, 103.0], None, None],
    ]
    schema = predictions_schema(columns, ())
    assert schema.names == ["id", "image_embedding", "text_embedding", "error"]
    assert schema.field("text_embedding").type == pa.list_(pa.float32())


def test_a_shard_has_as_many_rows_as_its_numbers_leave_room_for() -> None:
    assert numbers_per_row(TASK, ()) == 4
    assert numbers_per_row(ClassificationSpec(), ("a", "b", "c")) == 3
    assert numbers_per_row(ClassificationSpec(), ()) == 1
