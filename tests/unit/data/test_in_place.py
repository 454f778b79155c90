"""Pictures that are read where they lie: the same batches as from row groups, and nothing altered goes unseen."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pictures import SIDE, jpeg
from small_datasets import index_of, write_shard

from mmdist.data.batches import Batch
from mmdist.data.collate import Collator
from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.in_place import images_in_place
from mmdist.data.index import write_index
from mmdist.data.ledger import EpochLedger
from mmdist.data.order import plan_epoch
from mmdist.data.prepare import image_views
from mmdist.data.stream import BatchStream
from mmdist.errors import DataRefusedError
from mmdist.spec.data import ColumnsSpec, GlobalOrderSpec
from mmdist.storage import open_store

ROWS = 40
COLUMNS = ColumnsSpec(id="id", image="image")


def rows_table() -> pa.Table:
    """Pictures of several lengths, equal ones beside each other, one missing, one of 0 bytes."""
    images: list[bytes | None] = [jpeg(np.full((SIDE, SIDE, 3), row // 2 * 9 % 250, np.uint8)) for row in range(ROWS)]
    images[7], images[11] = None, b""
    return pa.table({"id": [f"row-{row}" for row in range(ROWS)], "image": pa.array(images, pa.binary())})


def imported(folder: Path) -> Path:
    write_index(open_store(str(folder)), index_of(folder), open_dataset(str(folder)).schema)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for shard in range(2):
        part = rows_table().slice(shard * ROWS // 2, ROWS // 2)
        write_shard(tmp_path / f"part-{shard:05d}.parquet", part, group_rows=7)
    return imported(tmp_path)


def batches(dataset: Dataset, *, epoch: int = 0, columns: ColumnsSpec = COLUMNS) -> list[Batch]:
    plan = plan_epoch(
        dataset.index.rows, fingerprint="same", seed=1, epoch=epoch, global_batch_size=6, order=GlobalOrderSpec()
    )
    with BatchStream(dataset, plan, Collator(columns, image_size=(SIDE, SIDE), threads=2)) as stream:
        return list(stream)


def located(dataset: Dataset) -> list[bool]:
    images = images_in_place(dataset, "image")
    return [images.has(group) for group in range(len(dataset.index))]


def check(dataset: Dataset, found: list[Batch]) -> None:
    ledger = EpochLedger(0)
    for batch in found:
        ledger.add(batch.ledger)
    ledger.check(dataset.index)


OTHERWISE: dict[str, dict[str, Any]] = {
    "compressed": {"compression": "zstd"},
    "dictionary": {"compression": "none", "use_dictionary": ["image"]},
}


@pytest.mark.parametrize("how", OTHERWISE)
def test_batches_are_those_of_shards_that_are_read_by_row_groups(folder: Path, tmp_path: Path, how: str) -> None:
    other = tmp_path / how
    other.mkdir()
    for path in sorted(folder.glob("part-*.parquet")):
        pq.write_table(pq.read_table(path), other / path.name, row_group_size=7, **OTHERWISE[how])
    in_place, by_groups = open_dataset(str(folder)), open_dataset(str(imported(other)))
    for epoch in range(2):
        pairs = zip(batches(in_place, epoch=epoch), batches(by_groups, epoch=epoch), strict=True)
        for one, another in pairs:
            assert np.array_equal(one.image, another.image)
            assert np.array_equal(one.row, another.row)
            assert (one.bad, one.ledger, one.ids) == (another.bad, another.ledger, another.ids)
    assert all(located(in_place))
    assert not any(located(by_groups))


def test_a_job_may_read_nothing_but_pictures(tmp_path: Path) -> None:
    write_shard(tmp_path / "part-00000.parquet", rows_table().select(["image"]), group_rows=7)
    dataset = open_dataset(str(imported(tmp_path)))
    found = batches(dataset, columns=ColumnsSpec(image="image"))
    check(dataset, found)
    assert sum(batch.rows for batch in found) == ROWS - 2
    assert all(located(dataset))


def test_a_picture_that_changes_after_it_was_located_is_not_fed_in_silence(folder: Path) -> None:
    dataset = open_dataset(str(folder))
    check(dataset, batches(dataset))
    shard = folder / "part-00001.parquet"
    picture = rows_table()["image"][33].as_py()
    at = shard.read_bytes().index(struct.pack("<I", len(picture)) + picture) + len(picture) - 40
    with shard.open("r+b") as file:  # in place: another file of this name would not be the one that is mapped
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(DataRefusedError, match="column image was altered"):
        check(dataset, batches(dataset, epoch=1))


def test_values_that_are_not_found_are_read_by_row_groups(folder: Path) -> None:
    dataset = open_dataset(str(folder))
    images = images_in_place(dataset, "image")
    images.locate(0, image_views(pa.chunked_array([pa.array([b"not there"], pa.binary())])))
    assert images.views(0) is None
    check(dataset, batches(dataset))
    assert located(dataset) == [False, *[True] * (len(dataset.index) - 1)]


def test_more_shards_than_may_be_mapped_are_read_by_row_groups(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmdist.data.in_place._MOST_SHARDS", 1)
    dataset = open_dataset(str(folder))
    check(dataset, batches(dataset))
    assert not any(located(dataset))


def test_what_was_located_is_let_go_with_the_dataset(folder: Path) -> None:
    from mmdist.data import in_place

    before = len(in_place._open)
    dataset = open_dataset(str(folder))
    batches(dataset)
    assert len(in_place._open) == before + 1
    del dataset
    assert len(in_place._open) == before
