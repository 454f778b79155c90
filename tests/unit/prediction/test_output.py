import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmdist.data.batches import BadRow
from mmdist.errors import DataRefusedError
from mmdist.prediction.answers import answer_columns, predictions_schema
from mmdist.prediction.output import CARD, COMMITTED, INPUTS, PredictionFolder
from mmdist.prediction.ranges import PredictionRange
from mmdist.spec.task import ClassificationSpec
from mmdist.storage import open_store

INPUTS_A = {"dataset_fingerprint": "a", "shards": 2}
RANGES = [PredictionRange(0, 0, 1, 0, 2), PredictionRange(1, 1, 2, 2, 2)]
BAD = BadRow("part-00000.parquet", 1, "y", "image", "truncated")
SCHEMA = predictions_schema(answer_columns(ClassificationSpec(), ["cat", "dog"]), ["cat", "dog"])


@pytest.fixture
def folder(tmp_path: Path) -> PredictionFolder:
    return PredictionFolder(open_store(str(tmp_path / "out")))


def table() -> pa.Table:
    columns = {
        "id": ["x", "y"],
        "predicted": ["dog", None],
        "confidence": [0.75, None],
        "probabilities": [[0.25, 0.75], None],
        "error": [None, "image: truncated"],
    }
    return pa.table(columns, schema=SCHEMA)


def test_a_shard_is_written_once_and_found_again(folder: PredictionFolder) -> None:
    assert folder.claim(INPUTS_A)
    record = folder.write(RANGES[0], table(), bad=[BAD], ledger={"rows": 2})
    assert not folder.claim(INPUTS_A)
    assert folder.committed(RANGES) == {0: record}
    read = pq.read_table(f"{folder.store.url}/part-00000.parquet")
    assert read.equals(table())
    assert json.loads(read.schema.metadata[b"mmdist"])["labels"] == ["cat", "dog"]


def test_the_same_range_gives_the_same_bytes(folder: PredictionFolder) -> None:
    first = folder.write(RANGES[0], table(), bad=[BAD], ledger={})
    assert folder.write(RANGES[0], table(), bad=[BAD], ledger={}) == first


def test_a_folder_of_shards_reads_as_one_table(folder: PredictionFolder) -> None:
    folder.claim(INPUTS_A)
    for range_ in RANGES:
        folder.write(range_, table(), bad=[BAD], ledger={})
    folder.finish({"rows": 4})
    assert pq.read_table(folder.store.url).column("id").to_pylist() == ["x", "y", "x", "y"]


@pytest.mark.parametrize("damage", ["no marker", "half a marker", "no shard", "a flipped bit", "other rows"])
def test_a_shard_that_is_not_whole_does_not_count(folder: PredictionFolder, damage: str) -> None:
    folder.claim(INPUTS_A)
    folder.write(RANGES[0], table(), bad=[], ledger={})
    folder.write(RANGES[1], table(), bad=[], ledger={})
    root = Path(folder.store.url)
    marker, shard = root / "_shards/part-00000.json", root / "part-00000.parquet"
    ranges = list(RANGES)
    match damage:
        case "no marker":
            marker.unlink()
        case "half a marker":
            marker.write_bytes(marker.read_bytes()[:20])
        case "no shard":
            shard.unlink()
        case "a flipped bit":
            data = bytearray(shard.read_bytes())
            data[10] ^= 1
            shard.write_bytes(data)
        case "other rows":
            ranges[0] = PredictionRange(0, 0, 1, 0, 3)
    assert list(folder.committed(ranges)) == [1]


def test_other_inputs_are_refused_by_name(folder: PredictionFolder) -> None:
    folder.claim(INPUTS_A)
    folder.write(RANGES[0], table(), bad=[], ledger={})
    with pytest.raises(DataRefusedError, match=r"other inputs(.|\n)*dataset_fingerprint: 'a' there, 'b' in this job"):
        folder.claim({**INPUTS_A, "dataset_fingerprint": "b"})
    assert list(folder.committed(RANGES)) == [0]


def test_a_folder_of_something_else_is_refused(folder: PredictionFolder) -> None:
    folder.store.write_bytes("thesis.txt", b"precious")
    with pytest.raises(DataRefusedError, match=r"not predictions of mmdist(.|\n)*received: thesis.txt"):
        folder.claim(INPUTS_A)
    assert [entry.path for entry in folder.store.list()] == ["thesis.txt"]


def test_a_claim_cut_off_in_the_middle_is_made_again(folder: PredictionFolder) -> None:
    folder.store.write_bytes(INPUTS, b'{"version": 1, "inp')
    assert folder.claim(INPUTS_A)
    assert not folder.claim(INPUTS_A)


def test_the_card_counts_only_with_its_marker(folder: PredictionFolder) -> None:
    assert folder.card() is None
    folder.finish({"rows": 4})
    assert folder.card() == {"rows": 4}
    folder.store.write_bytes(CARD, b'{"rows": 5}')
    assert folder.card() is None
    folder.store.delete_file(COMMITTED)
    assert folder.card() is None
