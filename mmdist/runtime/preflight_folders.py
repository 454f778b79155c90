"""Whether folders that a job writes to can be written, and what a path that is not there may have meant."""

import os
import shutil
from pathlib import Path

from mmdist.errors import StorageError
from mmdist.runtime.job_lines import at_key
from mmdist.spec.load import LoadedJob
from mmdist.spec.suggest import nearest
from mmdist.storage import is_remote, open_store

__all__ = ["check_writable", "similar_path"]

MIN_FREE_BYTES = 256 << 20


def check_writable(loaded: LoadedJob, location: str, *path: str) -> None:
    """Checks that there is a folder, or a place for one, with the right to write and some space.

    Raises:
        StorageError: at the line of the key `path`.
    """
    place = loaded.value_place(*path)
    key = ".".join(path)
    if is_remote(location):
        with at_key(loaded, *path):
            open_store(location).exists()
        return
    folder = Path(location.removeprefix("file://"))
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise StorageError(
            f"`{key}` lies below a file",
            expected="a folder, or a path where one can be made",
            received=str(folder),
            place=place,
            remedy="name another folder",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(
            f"`{key}` cannot be written",
            expected=f"the right to write in {folder}",
            received="no such right",
            place=place,
            remedy="name another folder, or change the rights of this one",
        )
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        raise StorageError(
            f"the disk of `{key}` is full",
            expected=f"{MIN_FREE_BYTES >> 20} MiB free at least",
            received=f"{free >> 20} MiB free in {folder}",
            place=place,
            remedy="free space, or name a folder on another disk",
        )


def similar_path(path: Path) -> str | None:
    """A hint at a path that is there: the first missing part of `path`, replaced by its nearest neighbour."""
    missing = path
    while not missing.parent.exists() and missing.parent != missing:
        missing = missing.parent
    try:
        near = nearest(missing.name, os.listdir(missing.parent))
    except OSError:
        return None
    if near is None:
        return None
    whole = missing.parent / near / path.relative_to(missing)
    return f"did you mean {whole if whole.exists() else missing.parent / near}?"
