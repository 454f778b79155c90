"""Files of remote storage, read by ranges that are whole or fail: each is retried, and its length proved."""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from mmdist.errors import Place, StorageError
from mmdist.storage.cache import RangeCache
from mmdist.storage.retry import RetryPolicy, TruncatedError

__all__ = ["Identity", "RangeFile", "read_whole"]

_MARK_BYTES = 16


@dataclass(frozen=True)
class Identity:
    """What says that two openings of a file saw the same content."""

    size_bytes: int
    tag: str
    """The object's ETag, or when it was changed; empty where the filesystem says neither."""


class RangeFile:
    """A remote file for `pyarrow.PythonFile`. Like any file with a position, for one thread at a time.

    Args:
        open_native: Opens the file anew; says what it is.
        url: Names the file, to people and in the cache.
        policy: How a range is tried again.
        cache: Where ranges are kept between readings.

    Raises:
        FileNotFoundError: where there is no such file.
        StorageError: when it cannot be opened.
    """

    def __init__(
        self,
        open_native: Callable[[], tuple[pa.NativeFile, Identity]],
        url: str,
        policy: RetryPolicy,
        cache: RangeCache | None,
    ) -> None:
        self._open_native = open_native
        self._url = url
        self._policy = policy
        self._cache = cache
        native, self.identity = policy.run("open", url, open_native)
        self._native: pa.NativeFile | None = native
        self._position = 0
        self.closed = False

    def read_buffer(self, count: int = -1) -> pa.Buffer:
        """The next bytes, up to the end of the file. pyarrow takes the buffer without a copy."""
        left = max(0, self.identity.size_bytes - self._position)
        buffer = self.read_range(self._position, left if count is None or count < 0 else min(count, left))
        self._position += buffer.size
        return buffer

    def read(self, count: int = -1) -> bytes:
        """As `read_buffer`."""
        return self.read_buffer(count).to_pybytes()

    def read_range(self, start: int, count: int) -> pa.Buffer:
        """Bytes within the file, all of them.

        Raises:
            StorageError: when storage fails for good, or the file was replaced since it was opened.
        """
        key = (self._url, self.identity.size_bytes, self.identity.tag, start, count)
        if self._cache is not None and (kept := self._cache.get(key)) is not None:
            return kept
        buffer = self._policy.run("read", self._url, lambda: self._attempt(start, count))
        if self._cache is not None:
            self._cache.put(key, buffer)
        return buffer

    def expect(self, identity: Identity) -> None:
        """Raises StorageError unless the file is the one that another opening saw."""
        if self.identity != identity:
            raise _replaced(self._url, identity, self.identity)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves the position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.identity.size_bytes}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def writable(self) -> bool:
        """It is not."""
        return False

    def close(self) -> None:
        """Lets go of the file."""
        self.closed = True
        if self._native is not None:
            self._native.close()
            self._native = None

    def _attempt(self, start: int, count: int) -> pa.Buffer:
        if self._native is None:
            self._native = self._open_again()
        try:
            return read_whole(self._native, start, count)
        except Exception:
            self._native = None
            raise

    def _open_again(self) -> pa.NativeFile:
        native, found = self._open_native()
        if found != self.identity:
            raise _replaced(self._url, self.identity, found)
        return native


def _replaced(url: str, expected: Identity, received: Identity) -> StorageError:
    return StorageError(
        "the file was replaced while it was read",
        expected=str(expected),
        received=str(received),
        place=Place(file=url),
        remedy="start again, and leave files in place that a job reads",
    )


def read_whole(native: pa.NativeFile, start: int, count: int) -> pa.Buffer:
    """Bytes within a file. Raises TruncatedError unless all of them came."""
    if count == 0:
        return pa.py_buffer(b"")
    buffer = pa.allocate_buffer(count)
    view = memoryview(buffer).cast("B")
    # pyarrow's S3 reader takes an answer that is too short, but says so in its headers, as whole: the rest of the
    # buffer stays as it was. A random mark at its end is what shows.
    mark = os.urandom(min(count, _MARK_BYTES))
    view[-len(mark) :] = mark
    native.seek(start)
    done = native.readinto(view)
    if done != count or view[-len(mark) :] == mark:
        raise TruncatedError(f"fewer than the {count} bytes from {start} on were sent")
    return buffer
