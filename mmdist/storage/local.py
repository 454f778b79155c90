"""Local files and folders that are on disk when a call returns, and what their failures mean."""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress

from mmdist.errors import Place, StorageError

__all__ = ["local_error", "make_folder_durably", "remove_durably", "remove_folder_durably", "sync", "write_durably"]

_MOST_UNSYNCED_BYTES = 64 * 1024 * 1024
_durable: set[tuple[str, int]] = set()
"""Folders (path, inode) whose entries this process has brought to the disk, or found and brought there."""


def write_durably(full: str, pieces: Iterable[bytes | memoryview], flag: int) -> None:
    """Writes a file from its pieces and syncs it and the folders that it needed.

    What a disk has not taken yet is kept small: a slow one is waited for while the pieces are asked for, and not all
    at once at the end, where nobody could tell it from one that has stopped.

    Args:
        full: Its path.
        pieces: Its content.
        flag: O_TRUNC or O_EXCL. A file that O_EXCL made and that cannot be written is removed again.
    """
    folder = os.path.dirname(full)
    make_folder_durably(folder)
    descriptor = os.open(full, os.O_WRONLY | os.O_CREAT | flag, 0o644)
    try:
        try:
            unsynced_bytes = 0
            for piece in pieces:
                view = memoryview(piece)
                if unsynced_bytes and unsynced_bytes + view.nbytes > _MOST_UNSYNCED_BYTES:
                    os.fsync(descriptor)
                    unsynced_bytes = 0
                unsynced_bytes += view.nbytes
                while view:
                    view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        if flag == os.O_EXCL:
            with suppress(OSError):
                os.unlink(full)
        raise
    sync(folder)


def make_folder_durably(folder: str) -> None:
    """Makes a folder and those above it, each synced.

    One that is there may have been made by a process that was killed before it synced: each process syncs it once.
    """
    found = _identity(folder)
    if found in _durable:
        return
    parent = os.path.dirname(folder)
    if parent == folder:
        return
    make_folder_durably(parent)
    if found is None:
        with suppress(FileExistsError):
            os.mkdir(folder)
    # A file is only as durable as the entry of the folder that holds it.
    try:
        sync(parent)
    except OSError as error:
        if found is None or error.errno not in _NOT_OURS:
            raise
    made = _identity(folder)
    if made is not None:
        _durable.add(made)


def remove_durably(full: str) -> None:
    """Deletes a file. Raises FileNotFoundError where there is none."""
    os.unlink(full)
    sync(os.path.dirname(full))


def remove_folder_durably(folder: str) -> None:
    """Deletes a folder unless something is in it; nothing where there is none."""
    found = _identity(folder)
    try:
        os.rmdir(folder)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
            raise
        return
    if found is not None:
        # The next folder of this name may get the same inode.
        _durable.discard(found)
    sync(os.path.dirname(folder))


def sync(path: str) -> None:
    """Brings a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _identity(folder: str) -> tuple[str, int] | None:
    try:
        return folder, os.stat(folder).st_ino
    except FileNotFoundError:
        return None


_NOT_OURS = (errno.EACCES, errno.EPERM, errno.EINVAL, errno.EROFS, errno.ENOTSUP)
"""How folders far above a run, which were there before it, may refuse to be synced."""

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
