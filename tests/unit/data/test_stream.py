import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pictures import SIDE, jpeg
from small_datasets import index_of, write_shard

from mmdist.data.batches import Batch
from mmdist.data.collate import Collator
from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.index import write_index
from mmdist.data.labels import LabelEncoder
from mmdist.data.ledger import EpochLedger
from mmdist.data.order import EpochPlan, plan_epoch
from mmdist.data.stream import BatchStream, scan
from mmdist.data.tokenizer import learn_from_texts
from mmdist.errors import DataRefusedError
from mmdist.spec.data import ColumnsSpec, GlobalOrderSpec, LanesOrderSpec, OrderSpec
from mmdist.spec.text import TextSpec
from mmdist.storage import open_store

COLUMNS = ColumnsSpec(id="id", image="image", text="text", label="label")
SHARD_ROWS = (25, 7, 31)
ROWS = sum(SHARD_ROWS)
BAD_ROWS = (3, 30, 62)
TOKENIZER = learn_from_texts([f"w{number}" for number in range(ROWS)], TextSpec(tokens=2))


def shade(number: int) -> int:
    return number * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards of uneven row groups; row n is a picture of one shade; three rows have none."""
    folder = tmp_path_factory.mktemp("train")
    first = 0
    for number, rows in enumerate(SHARD_ROWS):
        numbers = range(first, first + rows)
        first += rows
        pictures = [b"bad" if n in BAD_ROWS else jpeg(np.full((SIDE, SIDE, 3), shade(n), np.uint8)) for n in numbers]
        columns = {
            "id": [f"row-{n}" for n in numbers],
            "image": pa.array(pictures, pa.binary()),
            "text": [f"w{n}" for n in numbers],
            "label": ["ab"[n % 2] for n in numbers],
        }
        write_shard(folder / f"part-{number:05d}.parquet", pa.table(columns), group_rows=6)
    dataset = open_dataset(str(folder))
    write_index(open_store(str(folder)), index_of(folder), dataset.schema)
    return folder


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    return open_dataset(str(folder))


def collator() -> Collator:
    return Collator(COLUMNS, image_size=(SIDE, SIDE), tokenizer=TOKENIZER, target=LabelEncoder(("a", "b")), threads=2)


def plan_of(dataset: Dataset, order: OrderSpec | None = None, batch: int = 8, epoch: int = 0) -> EpochPlan:
    return plan_epoch(
        dataset.index.rows,
        fingerprint=dataset.fingerprint,
        seed=1,
        epoch=epoch,
        global_batch_size=batch,
        order=order or LanesOrderSpec(lanes=4),
    )


def batches(dataset: Dataset, plan: EpochPlan, **options: object) -> list[Batch]:
    with BatchStream(dataset, plan, collator(), **options) as stream:
        return list(stream)


def streaming_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("mmdist-")]


def assert_equal(one: Batch, other: Batch) -> None:
    for name in ("image", "image_present", "text", "text_present", "label", "mask", "row"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert (one.index, one.ids, one.bad, one.ledger) == (other.index, other.ids, other.bad, other.ledger)


ORDERS = [LanesOrderSpec(lanes=4), LanesOrderSpec(lanes=2, window=3), LanesOrderSpec(lanes=8), GlobalOrderSpec()]


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_every_row_comes_once_with_all_that_is_its_own(dataset: Dataset, order: OrderSpec) -> None:
    ledger = EpochLedger(0)
    seen = []
    for number, batch in enumerate(batches(dataset, plan_of(dataset, order))):
        assert batch.index == number
        for place in np.flatnonzero(batch.mask):
            row = int(batch.row[place])
            seen.append(row)
            assert batch.ids[place] == f"row-{row}"
            assert batch.label[place] == row % 2
            assert TOKENIZER.vocabulary[batch.text[place, 0]] == f"w{row}"
            assert abs(int(batch.image[place, 3, 3, 0]) - shade(row)) <= 2
        ledger.add(batch.ledger)
        assert batch.ledger.quarantined_rows == len(batch.bad)
    assert sorted(seen) == [row for row in range(ROWS) if row not in BAD_ROWS]
    ledger.check(dataset.index)


def test_bad_rows_are_reported_where_they_lie(dataset: Dataset) -> None:
    found = [row for batch in batches(dataset, plan_of(dataset)) for row in batch.bad]
    assert sorted((row.shard, row.row, row.id) for row in found) == [
        ("part-00000.parquet", 3, "row-3"),
        ("part-00001.parquet", 5, "row-30"),
        ("part-00002.parquet", 30, "row-62"),
    ]


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_a_resumed_stream_equals_the_uninterrupted_one(dataset: Dataset, order: OrderSpec) -> None:
    plan = plan_of(dataset, order)
    whole = batches(dataset, plan)
    assert len(whole) == plan.batches
    for start in (1, 4, plan.batches - 1):
        for one, other in zip(batches(dataset, plan, start_batch=start), whole[start:], strict=True):
            assert_equal(one, other)
    assert batches(dataset, plan, start_batch=plan.batches) == []


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_two_workers_have_the_halves_of_each_batch(dataset: Dataset, order: OrderSpec) -> None:
    plan = plan_of(dataset, order)
    middle = plan.lanes // 2
    first = batches(dataset, plan, lanes=range(middle))
    second = batches(dataset, plan, lanes=range(middle, plan.lanes))
    for one, other, whole in zip(first, second, batches(dataset, plan), strict=True):
        for name in ("image", "text", "label", "mask", "row"):
            assert np.array_equal(np.concatenate([getattr(one, name), getattr(other, name)]), getattr(whole, name))


def test_a_worker_whose_lanes_are_empty_gets_padding(dataset: Dataset) -> None:
    plan = plan_of(dataset, LanesOrderSpec(lanes=128), batch=128)
    empty = next(lane for lane in range(128) if plan.lane_rows(lane) == 0)
    (batch,) = batches(dataset, plan, lanes=range(empty, empty + 1))
    assert (batch.size, batch.rows, batch.row.tolist()) == (1, 0, [-1])


def test_many_small_blocks_give_the_same_batches(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    for order in ORDERS:
        whole = batches(dataset, plan_of(dataset, order))
        monkeypatch.setattr("mmdist.data.stream._ROWS_PER_BLOCK", 8)
        monkeypatch.setattr("mmdist.data.feed._CACHE_BYTES", 1)
        for one, other in zip(batches(dataset, plan_of(dataset, order)), whole, strict=True):
            assert_equal(one, other)
        monkeypatch.undo()


def test_scan_keeps_the_stored_order(dataset: Dataset) -> None:
    with scan(dataset, collator(), 10) as stream:
        found = list(stream)
    rows = np.concatenate([batch.row for batch in found])
    assert rows.tolist() == [*range(ROWS), *[-1] * 7]
    assert {batch.size for batch in found} == {10}
    with scan(dataset, collator(), 10, start_batch=5) as stream:
        for one, other in zip(stream, found[5:], strict=True):
            assert_equal(one, other)


def test_leaving_early_ends_every_thread(dataset: Dataset) -> None:
    with BatchStream(dataset, plan_of(dataset), collator(), prefetch=1) as stream:
        next(stream)
        assert "mmdist-stream" in streaming_threads()
    assert streaming_threads() == []
    assert list(stream) == []
    stream.close()


def test_no_more_than_the_prefetch_is_made_ahead(dataset: Dataset) -> None:
    started = []

    class Counting(Collator):
        def start(self, index: int, *arguments: object, **options: object) -> object:
            started.append(index)
            return super().start(index, *arguments, **options)  # type: ignore[arg-type]

    counting = Counting(COLUMNS, image_size=(SIDE, SIDE), tokenizer=TOKENIZER, target=LabelEncoder(("a", "b")))
    with BatchStream(dataset, plan_of(dataset, batch=4), counting, prefetch=2) as stream:
        next(stream)
        time.sleep(0.5)
        # One taken, two ready, one waiting to be handed over, one being decoded.
        assert len(started) == 5


def test_a_damaged_shard_is_raised_where_batches_are_taken(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        data = bytearray(path.read_bytes())
        if path.name == "part-00001.parquet":
            # Not in the first or last picture: those lie in the statistics too, which nobody reads.
            data[data.index(jpeg(np.full((SIDE, SIDE, 3), shade(28), np.uint8))) + 99] ^= 1
        (copy / path.name).write_bytes(data)
    damaged = open_dataset(str(copy))
    with pytest.raises(DataRefusedError, match=r"part-00001\.parquet: row group . of the shard is damaged") as caught:
        batches(damaged, plan_of(damaged))
    assert caught.value.exit_code == 3
    assert streaming_threads() == []


def test_an_error_of_ours_is_raised_too(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug in the decoder")

    monkeypatch.setattr("mmdist.data.collate.decode_images", broken)
    with pytest.raises(RuntimeError, match="a bug in the decoder"):
        batches(dataset, plan_of(dataset))
    assert streaming_threads() == []


def test_time_is_kept_by_phase(dataset: Dataset) -> None:
    with BatchStream(dataset, plan_of(dataset), collator(), prefetch=1) as stream:
        next(stream)
        time.sleep(0.3)
        list(stream)
        timings = stream.timings()
    assert set(timings) == {
        "read_s",
        "prepare_s",
        "decode_s",
        "read_wait_s",
        "handover_wait_s",
        "input_wait_s",
    }
    assert all(seconds > 0 for seconds in timings.values())
    assert timings["handover_wait_s"] > 0.2


def test_scan_takes_a_range_of_row_groups(dataset: Dataset) -> None:
    groups = range(4, 7)
    first, last = int(dataset.index.first_rows[4]), int(dataset.index.first_rows[7])
    with scan(dataset, collator(), 5, groups=groups) as stream:
        rows = np.concatenate([batch.row for batch in stream])
    assert rows[rows >= 0].tolist() == list(range(first, last))


def test_lanes_that_share_a_row_group_read_it_once(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    whole = Dataset.read_row_group

    def counting(self: Dataset, group: int, columns: list[str]) -> pa.Table:
        read.append(group)
        return whole(self, group, columns)

    monkeypatch.setattr(Dataset, "read_row_group", counting)
    plan = plan_of(dataset, LanesOrderSpec(lanes=32), batch=32)
    wanted = [group for lane in range(32) for window, _ in plan.lane_windows(lane) for group in window.groups.tolist()]
    assert len(wanted) > len(set(wanted))
    batches(dataset, plan)
    assert sorted(read) == sorted(set(wanted))
    read.clear()
    batches(dataset, plan)
    assert sorted(read) == sorted(set(wanted)), "what one stream has read is not kept for the next"
