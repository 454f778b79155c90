"""The corruption matrix of shards over the four paths: each is refused with exit code 3, and the shard is named."""

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bitflips import import_dataset
from damaged_rows import GOOD, table, write_shard
from paths import collator, columns_of, evaluate, import_table, predict, train

from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.ledger import EpochLedger, check_fingerprint
from mmdist.data.stream import scan
from mmdist.errors import DataRefusedError, JobFileError, MmdistError
from mmdist.prediction.predictor import Predictor, read_reply
from mmdist.prediction.ranges import PredictionRange
from mmdist.storage import unattended

pytestmark = pytest.mark.timeout(60)  # never a hang

READERS = {"train": train, "evaluate": evaluate, "predict": predict}
SHARDS = ("part-00000.parquet", "part-00001.parquet")
GOOD_ROWS = [{"id": f"row {number}", **GOOD, "text": f"a cat {number}"} for number in range(42)]


def body_end(data: bytes) -> int:
    return len(data) - 8 - struct.unpack("<I", data[-8:-4])[0]


def picture(data: bytes) -> int:
    """Where the first picture lies; its bytes are in the file as they are."""
    return data.index(b"\xff\xd8\xff" if b"\xff\xd8\xff" in data else b"\x89PNG")


def flipped(data: bytes) -> bytes:
    at = picture(data) + 20
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def zeroed(data: bytes) -> bytes:
    at = picture(data)
    return data[:at] + bytes(64) + data[at + 64 :]


def with_footer_length(data: bytes, length: int) -> bytes:
    return data[:-8] + struct.pack("<I", length) + data[-4:]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit in a page": flipped,
    "zeros in the middle": zeroed,
    "no bytes": lambda data: b"",
    "zeros alone": lambda data: bytes(len(data)),
    "cut in half": lambda data: data[: len(data) // 2],
    "cut by a byte": lambda data: data[:-1],
    "without its footer": lambda data: data[: body_end(data)],
    "wrong magic": lambda data: data[:-4] + b"PARQ",
    "another format": lambda data: b"id,image,text,label\n" * 99,
    "a footer's length past the file": lambda data: with_footer_length(data, len(data)),
    "a footer's length too short": lambda data: with_footer_length(data, 20),
    "a footer's length of none": lambda data: with_footer_length(data, 0),
    "a footer over fewer pages than it says": lambda data: b"PAR1" + data[body_end(data) - 64 :],
    "junk after its end": lambda data: data + b"junk",
}


@pytest.fixture(scope="module", params=["imported", "plain"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards, as the importer wrote them or made by hand. Tests put back what they damage."""
    root = tmp_path_factory.mktemp(request.param)
    if request.param == "imported":
        return import_dataset(root)
    (root / "shards").mkdir()
    for number, name in enumerate(SHARDS):
        write_like_the_importer(root / "shards" / name, table(GOOD_ROWS[number * 21 : number * 21 + 21]))
    return root / "shards"


def refusal(drive: Callable[[], object]) -> str:
    with pytest.raises(MmdistError) as refused:
        drive()
    assert refused.value.exit_code == 3, str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_shard_is_refused_by_name(folder: Path, tmp_path: Path, damage: str, reader: str) -> None:
    path = folder / SHARDS[1]
    whole = path.read_bytes()
    path.write_bytes(DAMAGES[damage](whole))
    try:
        assert SHARDS[1] in refusal(lambda: READERS[reader](folder, tmp_path / "run"))
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("reader", READERS)
def test_whole_shards_are_read(folder: Path, tmp_path: Path, reader: str) -> None:
    assert READERS[reader](folder, tmp_path / "run").pixels


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_table_is_refused_by_an_import(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "rows.parquet"
    write_like_the_importer(path, table(GOOD_ROWS))
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert "rows.parquet" in refusal(lambda: import_table(path, tmp_path / "out"))


def test_a_footer_that_disagrees_with_itself_is_refused(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "shards" / SHARDS[0], GOOD_ROWS)
    whole = path.read_bytes()
    said = set()
    for at in range(body_end(whole), len(whole) - 8):
        # 42 rows are the varint 84; one of these bytes is the whole file's count.
        if whole[at] == 84:
            path.write_bytes(whole[:at] + b"\x52" + whole[at + 1 :])
            try:
                open_dataset(str(path.parent))
            except DataRefusedError as error:
                said.add(str(error).split("\n")[0].partition(": ")[2])
    assert "the shard's footer disagrees with itself about its rows" in said


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop_columns(["text"]), "received: text: missing"),
        (lambda rows: rows.set_column(3, "label", pa.array(range(42), pa.int32())), "received: label: int32"),
        (lambda rows: rows.append_column("more", pa.array(range(42))), "received: more: int64"),
    ],
    ids=["a missing column", "another type", "a column more"],
)
def test_shards_of_different_columns_are_refused(
    tmp_path: Path, reader: str, change: Callable[[pa.Table], pa.Table], message: str
) -> None:
    write_shard(tmp_path / "shards" / SHARDS[0], GOOD_ROWS)
    pq.write_table(change(table(GOOD_ROWS)), tmp_path / "shards" / SHARDS[1])
    said = refusal(lambda: READERS[reader](tmp_path / "shards", tmp_path / "run"))
    assert SHARDS[1] in said
    assert message in said


FLOATS = pa.array([0.5, float("nan")] * 21)
WRONG_TYPES = {
    "label": (FLOATS, "column `label` cannot be read as label"),
    "id": (FLOATS, "column `id` cannot be read as id"),
    "text": (pa.array(range(42)), "column `text` cannot be read as text"),
    "image": (pa.array(["a"] * 42), "column `image` cannot be read as image"),
    "audio": (pa.array(["a"] * 42), "column `audio` cannot be read as audio"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("column", WRONG_TYPES)
def test_a_column_of_the_wrong_type_is_refused(tmp_path: Path, column: str, reader: str) -> None:
    values, message = WRONG_TYPES[column]
    whole = table(GOOD_ROWS)
    changed = whole.set_column(whole.column_names.index(column), column, values)
    (tmp_path / "shards").mkdir()
    pq.write_table(changed, tmp_path / "shards" / SHARDS[0])
    if column == "label" and reader == "predict":
        assert len(predict(tmp_path / "shards", tmp_path / "run").pixels) == 42, "a predict job reads no labels"
        return
    assert message in refusal(lambda: READERS[reader](tmp_path / "shards", tmp_path / "run"))


@pytest.mark.parametrize("column", ["label", "id", "image", "audio"])
def test_an_import_sets_rows_of_the_wrong_type_aside(tmp_path: Path, column: str) -> None:
    whole = table(GOOD_ROWS)
    pq.write_table(
        whole.set_column(whole.column_names.index(column), column, WRONG_TYPES[column][0]), tmp_path / "t.parquet"
    )
    seen = import_table(tmp_path / "t.parquet", tmp_path / "out")
    assert {name for name, _ in seen.bad.values()} == {column}
    assert len(seen.bad) == 42


def test_an_import_without_the_column_that_it_names_is_refused(tmp_path: Path) -> None:
    pq.write_table(table(GOOD_ROWS).drop_columns(["text"]), tmp_path / "t.parquet")
    with pytest.raises(JobFileError, match="the table has no column `text`"):
        import_table(tmp_path / "t.parquet", tmp_path / "out")


def epoch(dataset: Dataset, number: int, recorded: dict[str, int] | None = None) -> dict[str, int]:
    """One pass over an open dataset, to the ledger's check."""
    ledger = EpochLedger(number)
    with scan(dataset, collator(columns_of(dataset)), 16) as batches:
        for batch in batches:
            ledger.add(batch.ledger)
    ledger.check(dataset.index, recorded=recorded, where=dataset.store.url)
    return ledger.sums


def test_a_shard_overwritten_between_epochs_is_refused(folder: Path) -> None:
    path = folder / SHARDS[1]
    whole = path.read_bytes()
    dataset = open_dataset(str(folder))
    sums = epoch(dataset, 0)
    try:
        path.write_bytes((folder / SHARDS[0]).read_bytes())
        said = refusal(lambda: epoch(dataset, 1, sums))
    finally:
        path.write_bytes(whole)
    assert SHARDS[1] in said or "are not those of" in said


def test_a_shard_replaced_between_epochs_is_read_as_it_was_or_refused(folder: Path, tmp_path: Path) -> None:
    path = folder / SHARDS[1]
    whole = path.read_bytes()
    dataset = open_dataset(str(folder))
    sums = epoch(dataset, 0)
    other = tmp_path / "other.parquet"
    other.write_bytes((folder / SHARDS[0]).read_bytes())
    os.replace(other, path)
    try:
        with suppress(DataRefusedError):  # a file that is still open is the one that was replaced
            assert epoch(dataset, 1, sums) == sums
        dataset.readers.close()
        assert f"{SHARDS[1]}: the shard was replaced or altered" in refusal(lambda: epoch(dataset, 2, sums))
    finally:
        path.write_bytes(whole)


def test_a_shard_replaced_between_attempts_is_refused(folder: Path) -> None:
    path = folder / SHARDS[1]
    whole = path.read_bytes()
    before = open_dataset(str(folder)).fingerprint

    def resume() -> None:
        check_fingerprint(str(folder), expected=before, received=open_dataset(str(folder)).fingerprint)

    try:
        write_shard(path, GOOD_ROWS[:21])
        said = refusal(resume)
    finally:
        path.write_bytes(whole)
    assert "not the one that this run began with" in said or SHARDS[1] in said
    resume()


def test_a_prediction_worker_refuses_other_data_than_its_driver_saw(folder: Path) -> None:
    setup: Any = SimpleNamespace(
        input_url=str(folder), model_url="none", fingerprint="0" * 64, cache=None, attend=unattended
    )
    ranges = {name: np.zeros(1, np.int64) for name in PredictionRange.__dataclass_fields__}
    with pytest.raises(DataRefusedError, match="not the one that this run began with"):
        read_reply(Predictor(setup)(ranges)["reply"][0])


def test_swapped_shards_are_refused(folder: Path) -> None:
    first, second = (folder / name for name in SHARDS)
    before = open_dataset(str(folder)).fingerprint
    aside = folder / "aside"

    def swap() -> None:
        os.replace(first, aside)
        os.replace(second, first)
        os.replace(aside, second)

    def resume() -> None:
        check_fingerprint(str(folder), expected=before, received=open_dataset(str(folder)).fingerprint)

    swap()
    try:
        said = refusal(resume)
    finally:
        swap()
    assert "the footer" in said or "footer is not the one" in said or "shards were added, removed, changed" in said
    resume()


@pytest.mark.parametrize("reader", READERS)
def test_content_altered_under_an_unchanged_layout_is_seen_by_the_ledger(
    tmp_path: Path, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no checksum sees: rows written anew, by the importer's own writer, under the old index."""
    folder = import_dataset(tmp_path)
    path = folder / SHARDS[1]
    rows = pq.read_table(path)
    images = rows["image"].to_pylist()
    images[0], images[1] = images[1], images[0]
    write_like_the_importer(path, rows.set_column(rows.column_names.index("image"), "image", pa.array(images)))
    said = refusal(lambda: READERS[reader](folder, tmp_path / "run"))
    assert SHARDS[1] in said, "the footer differs"
    # Even where the footer were the same:
    monkeypatch.setattr("mmdist.data.dataset._check_against_index", lambda *_: None)
    said = refusal(lambda: READERS[reader](folder, tmp_path / "run"))
    assert "every id is there once, but the content of column image was altered or swapped" in said


def write_like_the_importer(path: Path, rows: pa.Table) -> None:
    pq.write_table(
        rows,
        path,
        row_group_size=12,
        compression={name: "none" if name == "image" else "zstd" for name in rows.column_names},
        use_dictionary=["label"],
        write_statistics=False,
        write_page_checksum=True,
    )
