"""Local files that are on disk when a write returns, and what their failures mean."""

import errno
import os
from contextlib import suppress

from mmdist.errors import Place, StorageError

__all__ = ["local_error", "make_folder_durably", "sync", "write_durably"]


def write_durably(full: str, data: bytes | memoryview, flag: int) -> None:
    """Writes a file and syncs it and the folders that it needed. `flag` is O_TRUNC or O_EXCL."""
    folder = os.path.dirname(full)
    make_folder_durably(folder)
    descriptor = os.open(full, os.O_WRONLY | os.O_CREAT | flag, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync(folder)


def make_folder_durably(folder: str) -> None:
    """Makes a folder and those above it, each synced."""
    if os.path.isdir(folder):
        return
    parent = os.path.dirname(folder)
    make_folder_durably(parent)
    with suppress(FileExistsError):
        os.mkdir(folder)
    # A file is only as durable as the entry of the folder that holds it.
    sync(parent)


def sync(path: str) -> None:
    """Brings a file or folder to the disk."""
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


def local_error(error: Exception, where: str) -> StorageError:
    """The user's error for a failure of a local filesystem."""
    number = getattr(error, "errno", None)
    return StorageError(
        "storage failed an operation",
        received=f"{type(error).__name__}: {error}",
        place=Place(file=where),
        remedy=_REMEDIES.get(number or 0, "check the path, the credentials and the health of the storage"),
    )
