"""One part: bad rows set aside, equal bytes for equal rows, readable shards, and a full disk."""

import contextlib
import errno
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from importing_helpers import import_here, picture, recording

from mmdist.data.audio import AudioEncoder
from mmdist.data.content import content_sums
from mmdist.errors import MmdistError, StorageError
from mmdist.importing.shards import GroupSize, ShardWriter, default_group_rows, schema_of
from mmdist.importing.sources import open_source
from mmdist.importing.task import Part, PartTask
from mmdist.spec.audio import AudioSpec
from mmdist.spec.importing import FolderSourceSpec, ImportSpec, ShareSplitsSpec, TableSourceSpec
from mmdist.storage import Store, open_store

ALL_TRAIN = ShareSplitsSpec(train=1.0, validation=0.0, test=0.0)


def spec_of(pictures: Path, output: Path, **keys: object) -> ImportSpec:
    source = FolderSourceSpec(path=str(pictures))
    return ImportSpec(source=source, output=str(output), **{"splits": ALL_TRAIN, **keys})


def test_bad_rows_are_set_aside_with_their_reasons(pictures: Path, tmp_path: Path) -> None:
    bad = {
        "empty.png": b"",
        "cut.png": picture(1)[:50],
        "text.jpg": b"hello, I am no picture",
        "large.png": picture(2, size=(200, 100)),
    }
    for name, content in bad.items():
        (pictures / "cat" / name).write_bytes(content)
    (result,) = import_here(spec_of(pictures, tmp_path / "out", max_pixels=10_000))
    assert (result.rows, result.bad_rows) == (16, 4)
    found = pq.read_table(tmp_path / "out/quarantine/part-00000.parquet").to_pylist()
    reasons = {row["id"]: row["reason"] for row in found}
    assert reasons["cat/empty.png"] == "empty: 0 bytes"
    assert "cannot be decoded" in reasons["cat/cut.png"]
    assert "not a picture of a known format" in reasons["cat/text.jpg"]
    assert "over the cap of 10000" in reasons["cat/large.png"]
    assert {row["column"] for row in found} == {"image"}
    assert pq.read_table(tmp_path / "out/train/part-00000.parquet").num_rows == 12


def test_bad_recordings_are_set_aside_with_the_reasons_of_training(tmp_path: Path) -> None:
    bad = {
        "empty.wav": b"",
        "cut.wav": recording(1)[:60],
        "renamed.wav": b"ID3\x04" + bytes(90),
        "picture.flac": picture(1),
    }
    (tmp_path / "in" / "owl").mkdir(parents=True)
    bad["long.wav"] = recording(1, frames=41)
    for name, content in {**bad, "good.flac": recording(2, "FLAC"), "good.wav": recording(1)}.items():
        (tmp_path / "in" / "owl" / name).write_bytes(content)
    (result,) = import_here(spec_of(tmp_path / "in", tmp_path / "out", max_samples=40))
    assert (result.rows, result.bad_rows) == (7, 5)
    found = pq.read_table(tmp_path / "out/quarantine/part-00000.parquet").to_pylist()
    column = pa.chunked_array([list(bad.values())], pa.binary())
    _, training = AudioEncoder(AudioSpec(max_samples=40)).encode(column)
    names = list(bad)
    assert {row["id"]: row["reason"] for row in found} == {f"owl/{names[n]}": why for n, why in training.items()}
    assert {row["column"] for row in found} == {"audio"}
    stored = pq.read_table(tmp_path / "out/train/part-00000.parquet")
    assert stored.column_names == ["id", "audio", "label"]
    assert set(stored["audio"].to_pylist()) == {recording(2, "FLAC"), recording(1)}


def test_a_blank_text_is_no_text_and_a_blank_label_no_label(tmp_path: Path) -> None:
    lines = ['{"text": " \\n", "label": "a"}', '{"text": "cat", "label": " "}', '{"text": "cat", "label": "a"}']
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    source = TableSourceSpec(path=str(tmp_path / "t.jsonl"), text="text", label="label")
    (result,) = import_here(ImportSpec(source=source, output=str(tmp_path / "out"), splits=ALL_TRAIN))
    assert (result.rows, result.bad_rows) == (3, 2)
    reasons = {example.partition(": ")[2] for example in result.examples}
    assert reasons == {"the row has no text", "label: the row has no label"}


def test_on_bad_row_fail_ends_the_part(pictures: Path, tmp_path: Path) -> None:
    (pictures / "cat" / "empty.png").write_bytes(b"")
    (result,) = import_here(spec_of(pictures, tmp_path / "out", on_bad_row="fail"))
    assert result.bad_rows == 1
    assert result.examples == ["cat/empty.png: image: empty: 0 bytes"]


def test_a_shard_holds_what_its_result_says(pictures: Path, tmp_path: Path) -> None:
    (result,) = import_here(spec_of(pictures, tmp_path / "out"))
    path = tmp_path / "out/train/part-00000.parquet"
    file = pq.ParquetFile(path, page_checksum_verification=True)
    (shard,) = result.shards
    assert [group.rows for group in shard.groups] == [4, 4, 4]
    for group in shard.groups:
        assert content_sums(file.read_row_group(group.row_group)) == group.content_sums
    assert shard.labels == {"cat": 6, "dog": 6}
    # Pictures lie verbatim in the file, and only where checksums cover them.
    assert path.read_bytes().count(picture(5)) == 1
    group = file.metadata.row_group(0)
    columns = {group.column(number).path_in_schema: group.column(number) for number in range(group.num_columns)}
    assert [name for name, column in columns.items() if column.is_stats_set] == ["label"]
    assert file.schema_arrow.names == ["id", "image", "text", "label"]


def test_running_a_part_again_gives_the_same_bytes(pictures: Path, tmp_path: Path) -> None:
    spec = spec_of(pictures, tmp_path / "out")
    import_here(spec)
    first = (tmp_path / "out/train/part-00000.parquet").read_bytes()
    import_here(spec)
    assert (tmp_path / "out/train/part-00000.parquet").read_bytes() == first


def test_a_row_group_ends_at_its_bytes_too(tmp_path: Path) -> None:
    schema = schema_of(("image",), grouped=False, values=())
    writer = ShardWriter(open_store(str(tmp_path)), "train", "a.parquet", schema=schema, size=GroupSize(100, 250))
    for number in range(7):
        writer.add({"id": str(number), "image": b"x" * 100})
    assert [group.rows for group in writer.close().groups] == [3, 3, 1]


@pytest.mark.parametrize(("rows", "expected"), [(1, 16), (1629, 16), (12_800, 100), (10**6, 1024)])
def test_default_rows_of_a_row_group(rows: int, expected: int) -> None:
    assert default_group_rows(rows) == expected


class FullDisk:
    """A file that takes some bytes and then none."""

    def __init__(self, inner: object, room_bytes: int) -> None:
        self.inner, self.room_bytes, self.closed = inner, room_bytes, False

    def write(self, data: bytes) -> int:
        self.room_bytes -= len(data)
        if self.room_bytes < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.inner.write(data)

    def flush(self) -> None: ...

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("room_bytes", [0, 10, 1500, 3000])
def test_a_full_disk_is_a_storage_error_that_says_so(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room_bytes: int
) -> None:
    real = Store.open_output

    @contextlib.contextmanager
    def full(self: Store, path: str) -> Iterator[FullDisk]:
        with real(self, path) as stream, self._named(path):
            yield FullDisk(stream, room_bytes)

    monkeypatch.setattr(Store, "open_output", full)
    with pytest.raises(StorageError, match=r"No space left on device[\s\S]*free space") as caught:
        import_here(spec_of(pictures, tmp_path / "out"))
    assert caught.value.exit_code == 4
    assert "part-00000.parquet" in str(caught.value)


def test_errors_come_back_as_results(pictures: Path, tmp_path: Path) -> None:
    spec = spec_of(pictures, tmp_path / "file" / "out")
    (tmp_path / "file").write_bytes(b"in the way")
    source = open_source(spec.source)
    task = PartTask(spec, seed=0, size=GroupSize(4), facts=source.facts(), grouped=False)
    part = Part(3, 0, source.plan(100).keys, "train")
    result = pickle.loads(task({"part": pickle.dumps(part)})["result"])
    assert result.number == 3
    assert isinstance(result.error, MmdistError)
    assert result.error.exit_code == 4


def test_names_that_are_no_unicode_are_set_aside(pictures: Path, tmp_path: Path) -> None:
    with open(os.fsencode(pictures / "cat") + b"/\xff.png", "wb") as file:
        file.write(picture(1))
    (result,) = import_here(spec_of(pictures, tmp_path / "out"))
    assert result.bad_rows == 1
    assert "UTF-8" in result.examples[0] or "cannot be read" in result.examples[0]
