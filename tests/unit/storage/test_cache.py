import multiprocessing
from pathlib import Path

import pyarrow as pa
import pytest

from mmdist.errors import StorageError
from mmdist.storage.cache import RangeCache

MIB = 1 << 20


def key(number: int, length: int = 1000, tag: str = "etag") -> tuple[str, int, str, int, int]:
    return ("s3://bucket/file", 1 << 40, tag, number * length, length)


def data(number: int, length: int = 1000) -> pa.Buffer:
    return pa.py_buffer(number.to_bytes(4, "big") * (length // 4))


def entries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_a_range_is_kept_for_the_same_content_only(tmp_path: Path) -> None:
    cache = RangeCache(str(tmp_path / "new" / "cache"), 64 * MIB)
    assert cache.get(key(1)) is None
    cache.put(key(1), data(1))
    assert cache.get(key(1)) == data(1)
    assert cache.get(key(1, tag="replaced")) is None
    assert cache.get(key(2)) is None
    assert (cache.hits, cache.misses, cache.corrupt) == (1, 3, 0)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "longer"])
def test_a_damaged_entry_is_thrown_away(tmp_path: Path, damage: str) -> None:
    cache = RangeCache(str(tmp_path), 64 * MIB)
    cache.put(key(1), data(1))
    (path,) = entries(tmp_path)
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes({"flip": content, "cut": content[:500], "empty": b"", "longer": path.read_bytes() + b"x"}[damage])
    assert cache.get(key(1)) is None
    assert cache.corrupt == 1
    assert entries(tmp_path) == []
    cache.put(key(1), data(1))
    assert cache.get(key(1)) == data(1)


def test_the_least_recently_used_is_let_go(tmp_path: Path) -> None:
    length, limit = 10_000, MIB
    cache = RangeCache(str(tmp_path), limit)
    for number in range(300):
        cache.put(key(number, length), data(number, length))
        assert cache.get(key(0, length)) == data(0, length), number
        assert size_of(tmp_path) <= limit
    assert size_of(tmp_path) > limit / 2
    assert cache.get(key(50, length)) is None
    assert cache.get(key(299, length)) is not None


def test_what_is_too_large_is_not_kept(tmp_path: Path) -> None:
    cache = RangeCache(str(tmp_path), MIB)
    cache.put(key(0, 20_000), data(0, 20_000))
    assert entries(tmp_path) == []


def _work(folder: str, seed: int) -> int:
    cache = RangeCache(folder, MIB)
    wrong = 0
    for number in range(400):
        at = (number * (seed + 1)) % 150
        kept = cache.get(key(at, 10_000))
        if kept is None:
            cache.put(key(at, 10_000), data(at, 10_000))
        elif kept != data(at, 10_000):
            wrong += 1
    return wrong + cache.corrupt


def test_processes_share_a_folder_and_its_limit(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        results = pool.starmap_async(_work, [(str(tmp_path), seed) for seed in range(3)])
        largest = 0
        while not results.ready():
            results.wait(0.01)
            largest = max(largest, sum(_size(path) for path in tmp_path.iterdir()))
    assert results.get() == [0, 0, 0]
    assert 0 < largest <= MIB


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def test_a_cache_that_cannot_be_written_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = RangeCache(str(tmp_path / "cache"), 64 * MIB)
    (tmp_path / "cache").rmdir()
    cache.put(key(1), data(1))
    cache.put(key(2), data(2))
    assert cache.get(key(1)) is None
    assert [record.message.startswith("the cache") for record in caplog.records] == [True]


@pytest.mark.parametrize("folder", ["{tmp}/file/cache", "s3://bucket/cache"])
def test_a_folder_that_cannot_be_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cache's folder cannot be made"):
        RangeCache(folder.format(tmp=tmp_path), MIB)
