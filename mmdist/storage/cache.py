"""A bounded cache of ranges of remote files in a local folder, which processes of one machine may share.

An entry is written under a name of its own and then renamed, so that it is whole or not there; its name is the hash
of what it holds a copy of, its content carries a checksum. A reader has an entry in memory before it uses it, so
that deleting one breaks nobody.
"""

import fcntl
import hashlib
import json
import logging
import os
import threading
import time
import uuid
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import xxhash

from mmdist.errors import Place, StorageError

__all__ = ["RangeCache", "open_cache"]

_log = logging.getLogger(__name__)
_SUM_BYTES = 16
_LOCK = ".lock"
_PARTIAL = ".partial-"
_PARTIAL_LIFE_S = 600.0
_TRIM_EVERY = 64
"""The folder is looked through each time this share of the limit was written, and then freed of eight times it."""

Key = tuple[str, int, str, int, int]
"""URL, size and tag of the file; start and length of the range."""


class RangeCache:
    """Keeps ranges, the least recently used let go first.

    The folder stays within `max_bytes` as long as at most 8 processes write to it.

    Args:
        folder: A local folder; made where it is not there. It is the cache's alone.
        max_bytes: Most bytes that the entries take.

    Raises:
        StorageError: when the folder cannot be made.
    """

    def __init__(self, folder: str, max_bytes: int) -> None:
        self.folder = Path(folder)
        self.max_bytes = max_bytes
        self.hits = 0
        self.misses = 0
        self.corrupt = 0
        """Entries that were damaged, and were read again from storage."""
        self._written = max_bytes  # What earlier processes left counts from the first write on.
        self._off = False
        self._lock = threading.Lock()
        try:
            if "://" in folder:
                raise NotADirectoryError(f"{folder} is a URL")
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                "the cache's folder cannot be made",
                received=str(error),
                place=Place(file=folder, key="data.cache.path"),
                remedy="name a local folder, or leave `data.cache` out",
            ) from error

    def get(self, key: Key) -> pa.Buffer | None:
        """A range that is kept whole; None where it is not. A damaged entry is thrown away."""
        path = self.folder / _name(key)
        try:
            with path.open("rb") as file:
                content = file.read()
        except OSError:
            self.misses += 1
            return None
        body = memoryview(content)[_SUM_BYTES:]
        if len(body) != key[4] or xxhash.xxh3_128_digest(body) != content[:_SUM_BYTES]:
            _log.warning("an entry of the cache is damaged and read again: %s", path)
            self.corrupt += 1
            with suppress(OSError):
                path.unlink()
            return None
        self.hits += 1
        with suppress(OSError):
            os.utime(path)
        return pa.py_buffer(body)

    def put(self, key: Key, data: pa.Buffer) -> None:
        """Keeps a range. A cache that cannot be written says so once, and is left alone from then on."""
        size = _SUM_BYTES + data.size
        if self._off or size > self.max_bytes // _TRIM_EVERY:
            return
        partial = self.folder / f"{_PARTIAL}{os.getpid()}-{uuid.uuid4().hex}"
        try:
            self._make_room(size)
            with partial.open("xb") as file:
                file.write(xxhash.xxh3_128_digest(memoryview(data)))
                file.write(data)
            partial.rename(self.folder / _name(key))
        except OSError as error:
            self._off = True
            _log.warning("the cache %s cannot be written and is not used any more: %s", self.folder, error)
            with suppress(OSError):
                partial.unlink()

    def _make_room(self, size: int) -> None:
        with self._lock:
            self._written += size
            if self._written <= self.max_bytes // _TRIM_EVERY:
                return
            self._written = size
        with (self.folder / _LOCK).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._trim()

    def _trim(self) -> None:
        entries, total = [], 0
        with os.scandir(self.folder) as found:
            for entry in found:
                with suppress(FileNotFoundError):
                    facts = entry.stat()
                    total += facts.st_size
                    being_written = time.time() - facts.st_mtime <= _PARTIAL_LIFE_S
                    if entry.name != _LOCK and not (entry.name.startswith(_PARTIAL) and being_written):
                        entries.append((facts.st_mtime_ns, facts.st_size, entry.path))
        for _, size, path in sorted(entries):
            if total <= self.max_bytes - 8 * (self.max_bytes // _TRIM_EVERY):
                break
            with suppress(FileNotFoundError):
                os.unlink(path)
            total -= size


@lru_cache(maxsize=8)
def open_cache(folder: str, max_bytes: int) -> RangeCache:
    """The cache of a folder, one for the whole process. Raises as `RangeCache`."""
    return RangeCache(folder, max_bytes)


def _name(key: Key) -> str:
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()
