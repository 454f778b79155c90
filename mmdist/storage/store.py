"""One folder on a filesystem, local or remote, with the few operations that object stores have too.

Nothing here renames or appends. A local write is on disk (fsync of file and folder) when it returns.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from mmdist.errors import Place, StorageError

__all__ = ["Entry", "Store", "is_remote", "open_store"]


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

    Raises:
        StorageError: by every method, when storage refuses or fails; `FileNotFoundError` stays itself.
    """

    def __init__(self, filesystem: fs.FileSystem, root: str, url: str) -> None:
        self.filesystem = filesystem
        self.root = root.rstrip("/") or "/"
        self.url = url.rstrip("/") or "/"
        self.is_local = isinstance(filesystem, fs.LocalFileSystem)

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def full_path(self, path: str) -> str:
        """The path on the filesystem; one that leaves the root is refused."""
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if ".." in parts or path.startswith("/"):
            raise StorageError(f"a path below {self.url} may not leave it", received=path)
        return "/".join([self.root, *parts]) if parts else self.root

    def child(self, path: str) -> "Store":
        """The store whose root is a folder of this one."""
        return Store(self.filesystem, self.full_path(path), f"{self.url}/{path.strip('/')}")

    def read_bytes(self, path: str) -> bytes:
        """The whole file. Raises FileNotFoundError where there is none."""
        with self._named(path), self.filesystem.open_input_stream(self.full_path(path), compression=None) as stream:
            return bytes(stream.read())

    def open_file(self, path: str) -> pa.NativeFile:
        """The file, for random access. Raises FileNotFoundError where there is none."""
        with self._named(path):
            return self.filesystem.open_input_file(self.full_path(path))

    def write_bytes(self, path: str, data: bytes | memoryview) -> None:
        """Writes a whole file, or replaces it."""
        full = self.full_path(path)
        with self._named(path):
            if self.is_local:
                _write_local(full, data, os.O_TRUNC)
            else:
                with self.filesystem.open_output_stream(full, compression=None) as stream:
                    stream.write(data)

    @contextmanager
    def open_output(self, path: str) -> Iterator[pa.NativeFile]:
        """Writes a file piece by piece, for what memory cannot hold. It is whole once the block has ended."""
        full = self.full_path(path)
        folder = full.rpartition("/")[0]
        with self._named(path):
            if self.is_local:
                _make_folder_durably(folder)
            with self.filesystem.open_output_stream(full, compression=None) as stream:
                yield stream
            if self.is_local:
                _sync(full)
                _sync(folder)

    def write_if_absent(self, path: str, data: bytes) -> bool:
        """Writes a file unless there is one already. True where this call wrote it.

        On a remote filesystem this looks first and then writes: pyarrow exposes no conditional put.
        """
        full = self.full_path(path)
        with self._named(path):
            if not self.is_local:
                if self.exists(path):
                    return False
                self.write_bytes(path, data)
                return True
            try:
                _write_local(full, data, os.O_EXCL)
            except FileExistsError:
                return False
            return True

    def make_folder(self, path: str = "") -> None:
        """Makes a folder and those above it; nothing where it is there."""
        with self._named(path):
            self.filesystem.create_dir(self.full_path(path), recursive=True)

    def exists(self, path: str = "") -> bool:
        """Whether there is a file or folder."""
        with self._named(path):
            return bool(self.filesystem.get_file_info(self.full_path(path)).type != fs.FileType.NotFound)

    def list(self, path: str = "", *, recursive: bool = False) -> list[Entry]:
        """Files and folders below a folder, sorted by path; empty where there is none."""
        selector = fs.FileSelector(self.full_path(path), allow_not_found=True, recursive=recursive)
        with self._named(path):
            infos = self.filesystem.get_file_info(selector)
        start = len(self.root.rstrip("/")) + 1
        entries = [Entry(info.path[start:], int(info.size or 0), info.type == fs.FileType.Directory) for info in infos]
        return sorted(entries, key=lambda entry: entry.path)

    def delete_file(self, path: str) -> None:
        """Deletes a file; nothing where there is none."""
        with self._named(path):
            try:
                self.filesystem.delete_file(self.full_path(path))
            except FileNotFoundError:
                return

    def delete_empty_folder(self, path: str) -> None:
        """Deletes a folder unless something is in it; nothing where there is none."""
        if self.is_local:
            try:
                os.rmdir(self.full_path(path))
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
                    raise _storage_error(error, f"{self.url}/{path}") from error
        elif not self.list(path):
            with self._named(path):
                self.filesystem.delete_dir(self.full_path(path))

    @contextmanager
    def _named(self, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except (OSError, pa.ArrowException) as error:
            raise _storage_error(error, f"{self.url}/{path}".rstrip("/")) from error


def open_store(url: str) -> Store:
    """The store at a local folder, `s3://...`, `gs://...` or another URL that pyarrow.fs reads.

    Raises:
        StorageError: where the URL is of no known kind, or its filesystem cannot be reached.
    """
    if not is_remote(url):
        path = str(Path(url.removeprefix("file://")).expanduser().absolute())
        return Store(fs.LocalFileSystem(), path, path)
    try:
        filesystem, root = fs.FileSystem.from_uri(url)
    except (ValueError, OSError, pa.ArrowException) as error:
        raise StorageError(
            f"cannot open {url}",
            expected="a local folder, s3://BUCKET/PATH, gs://BUCKET/PATH or another URL that pyarrow.fs reads",
            received=str(error),
            remedy="check the URL, and the credentials in the environment",
        ) from error
    return Store(filesystem, root, url)


def _write_local(full: str, data: bytes | memoryview, flag: int) -> None:
    folder = os.path.dirname(full)
    _make_folder_durably(folder)
    descriptor = os.open(full, os.O_WRONLY | os.O_CREAT | flag, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _sync(folder)


def _make_folder_durably(folder: str) -> None:
    if os.path.isdir(folder):
        return
    parent = os.path.dirname(folder)
    _make_folder_durably(parent)
    with suppress(FileExistsError):
        os.mkdir(folder)
    # A file is only as durable as the entry of the folder that holds it.
    _sync(parent)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_REMEDIES = {
    errno.ENOSPC: "free space on the disk or choose another `storage`; what was committed before is intact",
    errno.EDQUOT: "raise the quota or choose another `storage`; what was committed before is intact",
    errno.EROFS: "choose a `storage` that can be written",
    errno.EACCES: "give this user the right to read and write there, or choose another `storage`",
}


def _storage_error(error: Exception, where: str) -> StorageError:
    number = getattr(error, "errno", None)
    return StorageError(
        "storage failed an operation",
        received=f"{type(error).__name__}: {error}",
        place=Place(file=where),
        remedy=_REMEDIES.get(number or 0, "check the path, the credentials and the health of the storage"),
    )
