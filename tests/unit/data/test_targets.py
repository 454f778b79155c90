"""What labels become for each kind of task, and which rows they make bad."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmdist.data.collate import Collator
from mmdist.data.dataset import open_dataset
from mmdist.data.labels import LabelEncoder
from mmdist.data.targets import LabelSetEncoder, NumberEncoder, TargetFacts, learn_target, make_target
from mmdist.data.tokenizer import learn_from_texts
from mmdist.errors import DataRefusedError
from mmdist.spec.data import ColumnsSpec
from mmdist.spec.task import ClassificationSpec, MultilabelSpec, OrdinalSpec, RegressionSpec
from mmdist.spec.text import TextSpec


def test_sets_of_labels_are_marked() -> None:
    target = LabelSetEncoder(("a", "b", "c"), ";")
    marks, reasons = target.encode(pa.chunked_array([["b; a", "", None, "c;d", " ; c "]]))
    np.testing.assert_array_equal(marks, [[1, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1], [0, 0, 1]])
    assert marks.dtype == np.float32
    assert reasons == {2: "no labels (null)", 3: "unknown label 'd'"}


@pytest.mark.parametrize(
    ("column", "numbers", "bad"),
    [
        (pa.array([1.5, None, float("nan"), float("inf")]), [1.5, 0, 0, 0], {1, 2, 3}),
        (pa.array([3, -4], pa.int64()), [3, -4], set()),
        (pa.array(["2.5", "x", " ", "1e400"]), [2.5, 0, 0, 0], {1, 2, 3}),
    ],
)
def test_numbers(column: pa.Array, numbers: list[float], bad: set[int]) -> None:
    found, reasons = NumberEncoder().encode(pa.chunked_array([column]))
    np.testing.assert_array_equal(found, np.array(numbers, np.float32))
    assert set(reasons) == bad
    assert reasons.get(1) in {None, "no number: 'x'", "no number (null, blank, NaN or infinite)"}


def test_what_is_learned_of_the_training_split(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).normal(100.0, 7.0, 40)
    table = pa.table({"y": numbers, "tags": [["b;a", "c", ""][n % 3] for n in range(40)], "size": ["s", "l"] * 20})
    pq.write_table(table, tmp_path / "part-00000.parquet", row_group_size=9)
    dataset = open_dataset(str(tmp_path))
    facts = learn_target(RegressionSpec(), dataset, "y")
    assert (facts.labels, facts.mean, facts.deviation) == (
        (),
        pytest.approx(numbers.mean()),
        pytest.approx(numbers.std()),
    )
    assert learn_target(MultilabelSpec(), dataset, "tags").labels == ("a", "b", "c")
    assert learn_target(ClassificationSpec(), dataset, "size").labels == ("l", "s")
    ordinal = OrdinalSpec(labels=("s", "m", "l"))
    assert learn_target(ordinal, dataset, "size").labels == ("s", "m", "l"), "in their order, not sorted"
    assert TargetFacts.from_json(facts.to_json()) == facts


def test_a_batch_holds_the_targets_own_shape_and_masks_bad_rows() -> None:
    columns = ColumnsSpec(id="id", text="text", label="tags")
    tokenizer = learn_from_texts(["red"], TextSpec(tokens=2))
    target = make_target(MultilabelSpec(), ("a", "b"))
    table = pa.table({"id": ["1", "2", "3"], "text": ["red"] * 3, "tags": ["a;b", "z", "b"]})
    batch = Collator(columns, tokenizer=tokenizer, target=target).collate(table, size=4)
    np.testing.assert_array_equal(batch.label, [[1, 1], [0, 0], [0, 1], [0, 0]])
    assert batch.mask.tolist() == [1, 0, 1, 0]
    assert [row.reason for row in batch.bad] == ["unknown label 'z'"]


def test_a_label_with_fractions_is_no_name() -> None:
    columns = ColumnsSpec(text="text", label="y")
    table = pa.table({"text": ["red"], "y": [1.5]})
    tokenizer = learn_from_texts(["red"], TextSpec(tokens=2))
    with pytest.raises(DataRefusedError, match="column y cannot be the label"):
        Collator(columns, tokenizer=tokenizer, target=LabelEncoder(("1", "2"))).collate(table)
    batch = Collator(columns, tokenizer=tokenizer, target=NumberEncoder()).collate(table)
    assert batch.label.tolist() == [1.5]
