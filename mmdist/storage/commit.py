"""Folders that are either whole or do not count: payload, manifest, and the marker last.

A reader trusts only a folder whose COMMITTED names the manifest's hash, whose manifest names every payload
file's size and hash, and whose payload agrees. A writer never reuses a folder.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mmdist.errors import StorageError
from mmdist.storage.store import Store

__all__ = [
    "COMMITTED",
    "MANIFEST",
    "CommitError",
    "UnfinishedError",
    "commit_anew",
    "commit_folder",
    "is_committed",
    "read_committed",
    "verify_committed",
]

MANIFEST = "manifest.json"
COMMITTED = "COMMITTED"
_CHUNK_BYTES = 8 * 1024 * 1024

Content = bytes | memoryview | Sequence[bytes | memoryview]
"""A file's content, whole or in pieces."""


class CommitError(StorageError):
    """A folder is not committed, or does not agree with its manifest."""


class UnfinishedError(CommitError):
    """The writing of the marker was cut off: the commit never returned, and nobody was told that it had."""


def commit_folder(
    store: Store, folder: str, payload: Mapping[str, Content], *, moved: Callable[[], None] = lambda: None
) -> None:
    """Writes files into a fresh folder and commits them, then reads all of it back.

    Args:
        store: Where the folder lies.
        folder: Its path; it must not hold a manifest or a marker yet.
        payload: Contents by file name.
        moved: Called whenever a portion was read back.

    Raises:
        CommitError: when the folder was used before, or what is read back differs.
        StorageError: when storage fails; what was committed before is untouched.
    """
    target = store.child(folder)
    if target.exists(COMMITTED) or target.exists(MANIFEST):
        raise CommitError("a committed folder is never written again", received=target.url)
    files = {}
    for name, content in payload.items():
        pieces = (content,) if isinstance(content, bytes | memoryview) else content
        target.write_pieces(name, pieces)
        digest, size_bytes = hashlib.sha256(), 0
        for piece in pieces:
            digest.update(piece)
            size_bytes += memoryview(piece).nbytes
        files[name] = {"bytes": size_bytes, "sha256": digest.hexdigest()}
    manifest = json.dumps({"version": 1, "files": files}, indent=1, sort_keys=True).encode()
    target.write_bytes(MANIFEST, manifest)
    target.write_bytes(COMMITTED, hashlib.sha256(manifest).hexdigest().encode())
    verify_committed(store, folder, moved=moved)


def commit_anew(store: Store, folder: str, payload: Mapping[str, Content]) -> None:
    """As `commit_folder`, for a folder of a fixed name: what an interrupted writer left in it is written over.

    Raises:
        CommitError: when the folder is committed already.
    """
    if not is_committed(store, folder):
        store.delete_file(f"{folder}/{COMMITTED}")
        store.delete_file(f"{folder}/{MANIFEST}")
    commit_folder(store, folder, payload)


def is_committed(store: Store, folder: str) -> bool:
    """Whether the marker is there, written to its end. It says nothing of the payload: `read_committed` does."""
    target = store.child(folder)
    if not target.exists(COMMITTED):
        return False
    try:
        _read_manifest(target)
    except UnfinishedError:
        return False
    except CommitError:
        # Damaged, not unfinished: whoever reads it is to be told.
        pass
    return True


def read_committed(store: Store, folder: str) -> dict[str, bytes]:
    """The payload by file name, every byte checked against the manifest.

    Raises:
        UnfinishedError: when the marker was cut off while it was written.
        CommitError: when the folder is not committed, or a file is missing or differs; it says which.
    """
    target = store.child(folder)
    payload = {}
    for name, facts in _read_manifest(target).items():
        data = _read(target, name)
        _check(target, name, facts, hashlib.sha256(data).hexdigest(), len(data))
        payload[name] = data
    return payload


def verify_committed(store: Store, folder: str, *, moved: Callable[[], None] = lambda: None) -> None:
    """Checks what `read_committed` checks, and raises what it raises; holds a small part of a file at a time.

    Args:
        store: Where the folder lies.
        folder: Its path.
        moved: Called whenever a portion was read.
    """
    target = store.child(folder)
    for name, facts in _read_manifest(target).items():
        digest, size_bytes = hashlib.sha256(), 0
        for chunk in _chunks(target, name):
            digest.update(chunk)
            size_bytes += len(chunk)
            moved()
        _check(target, name, facts, digest.hexdigest(), size_bytes)


def _read_manifest(target: Store) -> dict[str, dict[str, Any]]:
    manifest = _read(target, MANIFEST)
    marker = _read(target, COMMITTED)
    expected = hashlib.sha256(manifest).hexdigest().encode()
    if marker != expected:
        # A crash leaves a part of the marker, with zeros for what was not written; damage looks otherwise.
        if all(byte in (0, right) for byte, right in zip(marker, expected, strict=False)) and len(marker) <= 64:
            raise UnfinishedError("the marker was cut off while it was written", received=target.url)
        raise CommitError("the marker does not agree with the manifest", received=target.url)
    files: dict[str, dict[str, Any]] = json.loads(manifest)["files"]
    return files


def _check(target: Store, name: str, facts: Mapping[str, Any], sha256: str, size_bytes: int) -> None:
    if size_bytes != facts["bytes"] or sha256 != facts["sha256"]:
        raise CommitError(
            "a file does not agree with its manifest",
            expected=f"{facts['bytes']} bytes, SHA-256 {facts['sha256'][:12]}...",
            received=f"{size_bytes} bytes, SHA-256 {sha256[:12]}...: {target.url}/{name}",
        )


def _chunks(target: Store, name: str) -> Iterator[bytes]:
    try:
        with target.open_file(name) as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    except FileNotFoundError as error:
        raise CommitError("a file of a committed folder is missing", received=f"{target.url}/{name}") from error


def _read(target: Store, name: str) -> bytes:
    try:
        return target.read_bytes(name)
    except FileNotFoundError as error:
        raise CommitError("a file of a committed folder is missing", received=f"{target.url}/{name}") from error
