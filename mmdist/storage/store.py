"""One folder on a filesystem, local or remote, with the few operations that object stores have too.

Nothing here renames or appends. A local write is on disk (fsync of file and folder) when it returns. A remote
operation is tried again when it fails in passing.
"""

import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
from pyarrow import fs

from mmdist.errors import MmdistError, StorageError
from mmdist.storage.backend import Backend, open_backend
from mmdist.storage.cache import RangeCache
from mmdist.storage.conditional_put import UnsupportedError
from mmdist.storage.local import (
    local_error,
    make_folder_durably,
    remove_durably,
    remove_folder_durably,
    sync,
    write_durably,
)
from mmdist.storage.ranges import Identity, RangeFile, read_whole
from mmdist.storage.retry import storage_error

__all__ = ["Entry", "Store", "is_remote", "open_store"]

T = TypeVar("T")

_log = logging.getLogger(__name__)
_PART_BYTES = 8 * 1024 * 1024
_PARALLEL_PARTS = 4
_SETTLE_S = 1.0


@dataclass(frozen=True)
class Entry:
    """A file or folder below a store's root: its path from there, and a file's size in bytes."""

    path: str
    size_bytes: int
    is_folder: bool


def is_remote(url: str) -> bool:
    """Whether a location is a URL other than `file://`."""
    return "://" in url and not url.startswith("file://")


class Store:
    """A folder as root, and files below it named by relative paths with `/`.

    Args:
        root: The folder's path on its filesystem.
        url: What people call it, and `open_store` opens.
        remote: The filesystem of a remote folder; None for a local one.
        cache: Where ranges of remote files that are opened are kept.

    Raises:
        StorageError: by every method, when storage refuses or fails; `FileNotFoundError` stays itself.
    """

    def __init__(self, root: str, url: str, remote: Backend | None = None, cache: RangeCache | None = None) -> None:
        self.filesystem = fs.LocalFileSystem() if remote is None else remote.filesystem
        self.root = root.rstrip("/") or "/"
        self.url = url.rstrip("/") or "/"
        self.is_local = remote is None
        self._remote = remote
        self._cache = cache

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def full_path(self, path: str) -> str:
        """The path on the filesystem; one that leaves the root is refused."""
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if ".." in parts or path.startswith("/"):
            raise StorageError(f"a path below {self.url} may not leave it", received=path)
        return "/".join([self.root.rstrip("/"), *parts]) if parts else self.root

    def child(self, path: str) -> "Store":
        """The store whose root is a folder of this one."""
        return Store(self.full_path(path), f"{self.url}/{path.strip('/')}", self._remote, self._cache)

    def cached(self, cache: RangeCache) -> "Store":
        """This store, with files that are opened kept in a cache. A local one stays as it is."""
        return self if self._remote is None else Store(self.root, self.url, self._remote, cache)

    def read_bytes(self, path: str) -> bytes:
        """The whole file. Raises FileNotFoundError where there is none."""
        if self._remote is not None:
            return self._read_remote(self._remote, path)
        # A stream would be read in many small pieces; a file tells its size.
        with self._named(path), self.filesystem.open_input_file(self.full_path(path)) as file:
            return bytes(file.read())

    def open_file(self, path: str) -> pa.NativeFile:
        """The file, for random access. Raises FileNotFoundError where there is none."""
        if self._remote is not None:
            return pa.PythonFile(self._open_ranges(self._remote, path), mode="r")  # type: ignore[arg-type]
        with self._named(path):
            return self.filesystem.open_input_file(self.full_path(path))

    def write_bytes(self, path: str, data: bytes | memoryview) -> None:
        """Writes a whole file, or replaces it."""
        self.write_pieces(path, (data,))

    def write_pieces(self, path: str, pieces: Sequence[bytes | memoryview]) -> None:
        """Writes a whole file that lies in pieces in memory, or replaces it."""
        full = self.full_path(path)
        if self._remote is None:
            with self._named(path):
                write_durably(full, pieces, os.O_TRUNC)
            return
        # A large file goes up in parts, each of which the writer sends again by itself.
        is_large = sum(memoryview(piece).nbytes for piece in pieces) > _PART_BYTES
        filesystem = self._remote.writer if is_large else self._remote.filesystem

        def write() -> None:
            self._make_parent(full)
            with filesystem.open_output_stream(full, compression=None) as stream:
                for piece in pieces:
                    stream.write(piece)

        self._run("write", path, write)

    @contextmanager
    def open_output(self, path: str) -> Iterator[pa.NativeFile]:
        """Writes a file piece by piece, for what memory cannot hold. It is whole once the block has ended."""
        full = self.full_path(path)
        folder = full.rpartition("/")[0]
        with self._named(path):
            if self._remote is not None:
                self._make_parent(full)
                with self._remote.writer.open_output_stream(full, compression=None) as stream:
                    yield stream
                return
            make_folder_durably(folder)
            with self.filesystem.open_output_stream(full, compression=None) as stream:
                yield stream
            sync(full)
            sync(folder)

    def write_if_absent(self, path: str, data: bytes) -> bool:
        """Writes a file unless there is one already. True where this call wrote it.

        Local folders and S3 decide that themselves. Elsewhere this looks, writes, waits and looks who was last:
        of two callers that write within a second of each other one wins, unless both write the same content.
        """
        full = self.full_path(path)
        if self._remote is None:
            with self._named(path):
                try:
                    write_durably(full, (data,), os.O_EXCL)
                except FileExistsError:
                    return False
                return True
        if self._remote.conditional_put is not None:
            try:
                return self._remote.conditional_put.put(full, data, f"{self.url}/{path}")
            except UnsupportedError as error:
                _log.warning("%s cannot write a file only where there is none: %s", self.url, error)
        elif self.exists(path):
            return False
        else:
            self.write_bytes(path, data)
        time.sleep(_SETTLE_S * random.uniform(1.0, 1.5))
        return self.read_bytes(path) == data

    def make_folder(self, path: str = "") -> None:
        """Makes a folder and those above it; nothing where it is there. Object stores have none to make."""
        if self._remote is None:
            with self._named(path):
                make_folder_durably(self.full_path(path))
        elif not self._remote.is_object_store:
            self._run("write", path, lambda: self.filesystem.create_dir(self.full_path(path), recursive=True))

    def sync_folder(self, path: str) -> None:
        """Brings a local folder, its files and its entry to the disk: who wrote them may have been killed before."""
        if not self.is_local:
            return
        full = self.full_path(path)
        with self._named(path):
            for entry in self.list(path):
                if not entry.is_folder:
                    sync(self.full_path(entry.path))
            sync(full)
            make_folder_durably(full)

    def exists(self, path: str = "") -> bool:
        """Whether there is a file or folder."""
        return bool(self.file_info(path).type != fs.FileType.NotFound)

    def file_info(self, path: str) -> fs.FileInfo:
        """Type, size and time of change, as the filesystem says them; of type NotFound where there is nothing."""
        return self._run("look-up", path, lambda: self.filesystem.get_file_info(self.full_path(path)))

    def list(self, path: str = "", *, recursive: bool = False) -> list[Entry]:
        """Files and folders below a folder, sorted by path; empty where there is none."""
        selector = fs.FileSelector(self.full_path(path), allow_not_found=True, recursive=recursive)
        try:
            infos = self._run("list", path, lambda: self.filesystem.get_file_info(selector))
        except FileNotFoundError:
            # pyarrow lists, and where that fails looks whether the folder is there: it may be by then.
            return []
        start = len(self.root.rstrip("/")) + 1
        entries = [Entry(info.path[start:], int(info.size or 0), info.type == fs.FileType.Directory) for info in infos]
        return sorted(entries, key=lambda entry: entry.path)

    def delete_file(self, path: str) -> None:
        """Deletes a file; nothing where there is none."""
        full = self.full_path(path)
        with suppress(FileNotFoundError):
            self._run(
                "delete", path, lambda: remove_durably(full) if self.is_local else self.filesystem.delete_file(full)
            )

    def delete_empty_folder(self, path: str) -> None:
        """Deletes a folder unless something is in it; nothing where there is none."""
        if self.is_local:
            with self._named(path):
                remove_folder_durably(self.full_path(path))
        elif not self.list(path):
            with suppress(FileNotFoundError):
                self._run("delete", path, lambda: self.filesystem.delete_dir(self.full_path(path)))

    def _run(self, kind: str, path: str, operation: Callable[[], T]) -> T:
        if self._remote is not None:
            return self._remote.policy.run(kind, f"{self.url}/{path}".rstrip("/"), operation)
        with self._named(path):
            return operation()

    @contextmanager
    def _named(self, path: str) -> Iterator[None]:
        where = f"{self.url}/{path}".rstrip("/")
        try:
            yield
        except (FileNotFoundError, MmdistError):
            raise
        except (OSError, pa.ArrowException) as error:
            raise (local_error if self.is_local else storage_error)(error, where) from error

    def _open_ranges(self, remote: Backend, path: str) -> RangeFile:
        full = self.full_path(path)
        return RangeFile(lambda: remote.open_native(full), f"{self.url}/{path}", remote.policy, self._cache)

    def _read_remote(self, remote: Backend, path: str) -> bytes:
        full = self.full_path(path)

        def read() -> bytes | Identity:
            native, identity = remote.open_native(full)
            with native:
                if identity.size_bytes > _PART_BYTES:
                    return identity
                # Each attempt opens the file anew: small files may be replaced (live notes are).
                return read_whole(native, 0, identity.size_bytes).to_pybytes()

        found = self._run("read", path, read)
        if isinstance(found, bytes):
            return found

        def read_part(start: int) -> pa.Buffer:
            part = self._open_ranges(remote, path)
            part.expect(found)
            return part.read_range(start, min(_PART_BYTES, found.size_bytes - start))

        with ThreadPoolExecutor(_PARALLEL_PARTS) as pool:
            return b"".join(pool.map(read_part, range(0, found.size_bytes, _PART_BYTES)))

    def _make_parent(self, full: str) -> None:
        if isinstance(self.filesystem, fs.PyFileSystem):
            self.filesystem.create_dir(full.rpartition("/")[0], recursive=True)


def open_store(url: str) -> Store:
    """The store at a local folder, `s3://...`, `gs://...` or another URL that pyarrow.fs or fsspec reads.

    Raises:
        StorageError: where the URL is of no known kind, has a query or a secret, or cannot be reached.
    """
    if not is_remote(url):
        path = str(Path(url.removeprefix("file://")).expanduser().absolute())
        return Store(path, path)
    remote, root = open_backend(url)
    return Store(root, url, remote)
