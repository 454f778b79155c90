"""A dataset on S3, streamed through a proxy that fails: the batches are those of the local folder, bit by bit."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from faulty_proxy import FaultyProxy, Request
from s3_server import BUCKET
from test_remote_store import FAULTS

from mmdist.data.batches import Batch
from mmdist.data.collate import Collator
from mmdist.data.dataset import open_dataset
from mmdist.data.labels import LabelEncoder
from mmdist.data.order import plan_epoch
from mmdist.data.stream import BatchStream
from mmdist.data.tokenizer import learn_from_texts
from mmdist.errors import DataRefusedError, StorageError
from mmdist.spec.data import CacheSpec, ColumnsSpec, LanesOrderSpec
from mmdist.spec.text import TextSpec
from mmdist.storage import open_cache, open_store

COLUMNS = ColumnsSpec(id="id", text="text", label="label")
SHARDS, GROUPS, GROUP_ROWS = 4, 5, 40
ROWS = SHARDS * GROUPS * GROUP_ROWS
URL = f"s3://{BUCKET}/dataset"
TOKENIZER = learn_from_texts([f"w{number}" for number in range(ROWS)], TextSpec(tokens=3, vocabulary=1000))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    for shard in range(SHARDS):
        numbers = range(shard * GROUPS * GROUP_ROWS, (shard + 1) * GROUPS * GROUP_ROWS)
        columns = {
            "id": [f"row-{n}" for n in numbers],
            "text": [f"w{n} w{n * 7 % ROWS} {'filling ' * 50}" for n in numbers],
            "label": ["ab"[n % 2] for n in numbers],
        }
        path = folder / f"part-{shard:05d}.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=GROUP_ROWS, write_page_checksum=True, compression="none")
    return folder


@pytest.fixture(autouse=True)
def uploaded(folder: Path, proxy: FaultyProxy) -> None:
    store = open_store(URL)
    for path in folder.iterdir():
        store.write_bytes(path.name, path.read_bytes())
    proxy.set(None)


def epoch(url: str, cache: CacheSpec | None = None) -> list[Batch]:
    dataset = open_dataset(url, cache)
    plan = plan_epoch(
        dataset.index.rows,
        fingerprint=dataset.fingerprint,
        seed=1,
        epoch=0,
        global_batch_size=32,
        order=LanesOrderSpec(lanes=4),
    )
    collator = Collator(COLUMNS, tokenizer=TOKENIZER, target=LabelEncoder(("a", "b")), threads=2)
    with BatchStream(dataset, plan, collator) as stream:
        return list(stream)


def assert_equal(found: list[Batch], expected: list[Batch]) -> None:
    assert len(found) == len(expected) > 20
    for one, other in zip(found, expected, strict=True):
        for name in ("text", "text_present", "label", "mask", "row"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), (one.index, name)
        assert one.ids == other.ids
        assert one.ledger == other.ledger


def every(step: int, fault: str, method: str = "") -> "object":
    """Breaks each so-and-so-many-th answer, at most 12."""
    counts = [0, 0]

    def choose(request: Request) -> str | None:
        if request.method != (method or request.method):
            return None
        counts[0] += 1
        if counts[0] % step or counts[1] == 12:
            return None
        counts[1] += 1
        return fault

    return choose


@pytest.mark.parametrize("fault", [*FAULTS, "slow"])
def test_batches_are_the_same_whatever_storage_does(folder: Path, proxy: FaultyProxy, fault: str) -> None:
    expected = epoch(str(folder))
    body_only = fault in ("truncated", "short", "slow")
    proxy.set(every({"stall": 9, "slow": 1}.get(fault, 3), fault, "GET" if body_only else ""))
    assert_equal(epoch(URL), expected)
    assert proxy.broken >= (0 if fault == "slow" else 5)


@pytest.mark.parametrize("fault", FAULTS)
def test_without_retries_the_same_faults_end_the_epoch_with_a_clear_error(
    proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("MMDIST_STORAGE_ATTEMPTS", "1")
    proxy.set(lambda request: fault if request.method == "GET" and request.number > 30 else None)
    with pytest.raises(StorageError, match=r"s3://.*: the storage's read failed\n"):
        epoch(URL)


def test_a_shard_that_cannot_be_had_is_no_damaged_shard(proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Storage that fails ends a job with exit code 4, data that is wrong with 3."""
    monkeypatch.setenv("MMDIST_STORAGE_ATTEMPTS", "2")
    proxy.set(lambda request: "503" if request.method == "GET" and "part-00002" in request.path else None)
    with pytest.raises(StorageError, match=r"part-00002.parquet: the storage's read failed 2 times") as caught:
        open_dataset(URL)
    assert caught.value.exit_code == 4
    with pytest.raises(DataRefusedError, match="there is no such folder"):
        open_dataset(f"s3://{BUCKET}/missing")


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[CacheSpec]:
    yield CacheSpec(path=str(tmp_path / "cache"), max_bytes=100_000_000)
    open_cache.cache_clear()


def test_a_second_epoch_comes_from_the_cache(folder: Path, proxy: FaultyProxy, cache: CacheSpec) -> None:
    expected = epoch(str(folder))
    assert_equal(epoch(URL, cache), expected)
    first = sum(request.method == "GET" and "range" in request.headers for request in proxy.requests)
    assert first >= SHARDS * (GROUPS + 1)
    proxy.set(None)
    assert_equal(epoch(URL, cache), expected)
    assert not any("range" in request.headers for request in proxy.requests)


def test_damaged_entries_and_replaced_shards_are_read_from_storage(
    folder: Path, proxy: FaultyProxy, cache: CacheSpec
) -> None:
    expected = epoch(str(folder))
    epoch(URL, cache)
    entries = sorted(path for path in Path(cache.path).iterdir() if not path.name.startswith("."))
    for path in entries[::3]:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert_equal(epoch(URL, cache), expected)
    assert open_cache(cache.path, cache.max_bytes).corrupt == len(entries[::3])
    path = folder / "part-00001.parquet"
    table = pq.read_table(path)
    changed = table.set_column(2, "label", pa.array(["b"] * table.num_rows))
    sink = pa.BufferOutputStream()
    pq.write_table(changed, sink, row_group_size=GROUP_ROWS, write_page_checksum=True, compression="none")
    open_store(URL).write_bytes(path.name, sink.getvalue())
    labels = {row: label for batch in epoch(URL, cache) for row, label in zip(batch.row, batch.label, strict=True)}
    assert {labels[row] for row in range(GROUPS * GROUP_ROWS, 2 * GROUPS * GROUP_ROWS)} == {1}
