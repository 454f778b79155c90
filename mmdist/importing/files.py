"""Finds source files without ever leaving the folder that the user named: no link, `..` or URL leads out."""

import os
from pathlib import Path

from pyarrow import fs

from mmdist.errors import DataRefusedError, Place
from mmdist.storage import Store

__all__ = ["Stamp", "inside", "relative_path", "stamps"]

Stamp = tuple[str, int, int]
"""A file's path, size in bytes and time of change in ns (0 where storage does not tell)."""


def relative_path(written: str, place: Place) -> str:
    """A path as a user's data wrote it, checked to stay below its folder.

    Raises:
        DataRefusedError: for a URL, an absolute path, or one with `..`; with the place given.
    """
    path = written.replace("\\", "/")
    if "://" in path:
        raise DataRefusedError(
            "a file is named by a URL, and nothing is fetched from the network",
            expected="a path relative to the table's folder",
            received=written,
            place=place,
            remedy="download the files first, then name them by relative paths",
        )
    if path.startswith("/") or ".." in path.split("/") or (len(path) > 1 and path[1] == ":"):
        raise DataRefusedError(
            "a path leaves the folder of its table",
            expected="a path relative to the table's folder, without `..`",
            received=written,
            place=place,
            remedy="move the files beside the table and name them by relative paths",
        )
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def inside(store: Store, path: str, place: Place) -> None:
    """Checks that no link on the way to a local file leads out of the store's root.

    Raises:
        DataRefusedError: naming where the link leads, with the place given.
    """
    if not store.is_local:
        return
    root = os.path.realpath(store.root)
    target = os.path.realpath(store.full_path(path))
    if target != root and not target.startswith(f"{root.rstrip('/')}/"):
        raise DataRefusedError(
            "a link leads out of its folder",
            expected=f"files below {root}",
            received=f"{path} -> {target}",
            place=place,
            remedy="copy the file to where the link is",
        )


def stamps(store: Store) -> list[Stamp]:
    """Every file below a store's root but hidden ones, sorted by path. Linked files count, linked folders do not.

    Raises:
        DataRefusedError: when a link leads out of the root.
        StorageError: when storage fails.
    """
    if not store.is_local:
        return [
            (entry.path, entry.size_bytes, 0)
            for entry in store.list(recursive=True)
            if not entry.is_folder and not any(part.startswith(".") for part in entry.path.split("/"))
        ]
    found = []
    root = Path(store.root)
    for folder, folders, files in os.walk(root, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in [*folders, *files]:
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            if path.is_symlink():
                inside(store, relative, Place(file=str(path)))
            if name.startswith(".") or name in folders or not path.is_file():
                continue
            facts = path.stat()
            found.append((relative, facts.st_size, facts.st_mtime_ns))
    return sorted(found)


def _raise(error: OSError) -> None:
    raise DataRefusedError(
        "a folder cannot be listed", received=str(error), remedy="give this user the right to read it"
    ) from error


def stamp_of(store: Store, path: str) -> Stamp:
    """One file's stamp; size -1 where there is none."""
    info = store.file_info(path)
    if info.type != fs.FileType.File:
        return path, -1, 0
    return path, int(info.size or 0), int(info.mtime_ns or 0)
