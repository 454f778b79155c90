"""One range through the worker, with a model that is plain arithmetic."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmdist.data.collate import Collator
from mmdist.data.dataset import open_dataset
from mmdist.errors import StopRequestedError
from mmdist.prediction.output import PredictionFolder, ShardRecord
from mmdist.prediction.predictor import StopRequest, predict_range
from mmdist.prediction.ranges import PredictionRange
from mmdist.spec.data import ColumnsSpec
from mmdist.storage import open_store

BAD = {5: "image: ", 23: "no picture (null) and no text"}


def forward(inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.float32]]:
    """Red by the picture's brightness, blue by the first token, green by what is absent: each row by itself."""
    assert {name: values.dtype.name for name, values in inputs.items()} == {
        "image": "uint8",
        "image_present": "bool",
        "text": "int32",
        "text_present": "bool",
    }
    red = inputs["image"].mean(axis=(1, 2, 3)) / 255 * inputs["image_present"]
    blue = inputs["text"][:, 0] / 20 * inputs["text_present"]
    green = 2.0 - inputs["image_present"] - inputs["text_present"]
    scores = np.stack([blue, green, red], axis=1).astype(np.float32) + np.float32(1e-3)
    return {"probabilities": np.asarray(scores / scores.sum(axis=1, keepdims=True), np.float32)}


@pytest.fixture
def work(small: Any, tmp_path: Path) -> Any:
    def run(groups: range, *, batch_size: int = 4, columns: ColumnsSpec | None = None) -> tuple[ShardRecord, pa.Table]:
        dataset = open_dataset(small.url)
        starts = dataset.index.first_rows
        rows = int(dataset.index.rows[groups.start : groups.stop].sum())
        output = PredictionFolder(open_store(str(tmp_path / "out")))
        record = predict_range(
            PredictionRange(0, groups.start, groups.stop, int(starts[groups.start]), rows),
            dataset=dataset,
            collator=Collator(
                columns=columns or ColumnsSpec(id="id", image="image", text="text"),
                image_size=(8, 8),
                tokenizer=small.tokenizer,
            ),
            info=small.info,
            forward=forward,
            output=output,
            batch_size=batch_size,
            stop=StopRequest(open_store(str(tmp_path / "run"))),
        )
        return record, pq.read_table(f"{output.store.url}/{record.shard}")

    return run


@pytest.mark.parametrize("batch_size", [1, 4, 7, 60, 256])
def test_every_row_once_in_order_whatever_the_batch(work: Any, small: Any, batch_size: int) -> None:
    record, table = work(range(10), batch_size=batch_size)
    assert table.column("id").to_pylist() == small.ids
    assert record.rows == 60
    errors = table.column("error").to_pylist()
    assert [row for row, error in enumerate(errors) if error] == sorted(BAD)
    assert all(part in errors[row] for row, part in BAD.items())
    for name in ("predicted", "confidence", "probabilities"):
        values = table.column(name).to_pylist()
        assert [row for row, value in enumerate(values) if value is None] == sorted(BAD)
    _, one_by_one = work(range(10), batch_size=1)
    assert table.equals(one_by_one)


def test_probabilities_are_by_label_and_name_the_prediction(work: Any, small: Any) -> None:
    _, table = work(range(10))
    assert table.column("probabilities").type == pa.list_(pa.float32())
    for row in table.to_pylist():
        if row["error"] is None:
            assert len(row["probabilities"]) == 3
            assert row["confidence"] == max(row["probabilities"]) == pytest.approx(row["confidence"])
            assert row["predicted"] == small.info.labels[int(np.argmax(row["probabilities"]))]
    assert table.column("predicted").to_pylist()[31] == "green", "the row without a picture"
    assert table.column("predicted").to_pylist()[44] == "green", "the row without a text"


def test_a_range_in_the_middle_holds_its_own_rows(work: Any, small: Any) -> None:
    record, table = work(range(3, 6))
    _, whole = work(range(10))
    first = small.ids.index(table.column("id").to_pylist()[0])
    assert first == 21
    assert table.equals(whole.slice(first, record.rows))
    assert [(row.shard, row.row) for row in record.bad] == [("part-00000.parquet", 23)]


def test_a_modality_that_the_job_leaves_out_is_absent(work: Any, small: Any) -> None:
    _, table = work(range(10), columns=ColumnsSpec(id="id", text="text"))
    errors = table.column("error").to_pylist()
    assert [row for row, error in enumerate(errors) if error] == [23, 44]
    assert {value for value in table.column("predicted").to_pylist() if value} == {"green"}


def test_rows_without_an_id_are_named_by_their_place(work: Any) -> None:
    _, table = work(range(10), columns=ColumnsSpec(image="image", text="text"))
    names = table.column("id").to_pylist()
    assert (names[0], names[30]) == ("part-00000.parquet#0", "part-00001.parquet#0")


def test_the_ledger_accounts_for_every_row(work: Any) -> None:
    record, _ = work(range(10))
    assert (record.ledger["fed_rows"], record.ledger["quarantined_rows"]) == (58, 2)


def test_a_stop_request_ends_the_range_and_writes_nothing(work: Any, tmp_path: Path) -> None:
    open_store(str(tmp_path / "run")).write_bytes("stop/request.json", b"{}")
    with pytest.raises(StopRequestedError, match="not made again"):
        work(range(10))
    assert not (tmp_path / "out").exists()
