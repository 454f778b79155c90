"""Folders that are either whole or do not count: payload, manifest, and the marker last.

A reader trusts only a folder whose COMMITTED names the manifest's hash, whose manifest names every payload
file's size and hash, and whose payload agrees. A writer never reuses a folder.
"""

import hashlib
import json
from collections.abc import Mapping

from mmdist.errors import StorageError
from mmdist.storage.store import Store

__all__ = ["COMMITTED", "MANIFEST", "CommitError", "commit_anew", "commit_folder", "is_committed", "read_committed"]

MANIFEST = "manifest.json"
COMMITTED = "COMMITTED"


class CommitError(StorageError):
    """A folder is not committed, or does not agree with its manifest."""


def commit_folder(store: Store, folder: str, payload: Mapping[str, bytes | memoryview]) -> None:
    """Writes files into a fresh folder and commits them, then reads all of it back.

    Args:
        store: Where the folder lies.
        folder: Its path; it must not hold a manifest or a marker yet.
        payload: Contents by file name.

    Raises:
        CommitError: when the folder was used before, or what is read back differs.
        StorageError: when storage fails; what was committed before is untouched.
    """
    target = store.child(folder)
    if target.exists(COMMITTED) or target.exists(MANIFEST):
        raise CommitError("a committed folder is never written again", received=target.url)
    files = {}
    for name, data in payload.items():
        target.write_bytes(name, data)
        files[name] = {"bytes": memoryview(data).nbytes, "sha256": hashlib.sha256(data).hexdigest()}
    manifest = json.dumps({"version": 1, "files": files}, indent=1, sort_keys=True).encode()
    target.write_bytes(MANIFEST, manifest)
    target.write_bytes(COMMITTED, hashlib.sha256(manifest).hexdigest().encode())
    read_committed(store, folder)


def commit_anew(store: Store, folder: str, payload: Mapping[str, bytes | memoryview]) -> None:
    """As `commit_folder`, for a folder of a fixed name: what an interrupted writer left in it is written over.

    Raises:
        CommitError: when the folder is committed already.
    """
    if not is_committed(store, folder):
        store.delete_file(f"{folder}/{MANIFEST}")
    commit_folder(store, folder, payload)


def is_committed(store: Store, folder: str) -> bool:
    """Whether the marker is there. It says nothing of the payload: `read_committed` does."""
    return store.exists(f"{folder}/{COMMITTED}")


def read_committed(store: Store, folder: str) -> dict[str, bytes]:
    """The payload by file name, every byte checked against the manifest.

    Raises:
        CommitError: when the folder is not committed, or a file is missing or differs; it says which.
    """
    target = store.child(folder)
    manifest = _read(target, MANIFEST)
    marker = _read(target, COMMITTED).decode(errors="replace")
    if marker != hashlib.sha256(manifest).hexdigest():
        raise CommitError("the marker does not agree with the manifest", received=target.url)
    payload = {}
    for name, facts in json.loads(manifest)["files"].items():
        data = _read(target, name)
        if len(data) != facts["bytes"] or hashlib.sha256(data).hexdigest() != facts["sha256"]:
            raise CommitError(
                "a file does not agree with its manifest",
                expected=f"{facts['bytes']} bytes, SHA-256 {facts['sha256'][:12]}...",
                received=f"{len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()[:12]}...: {target.url}/{name}",
            )
        payload[name] = data
    return payload


def _read(target: Store, name: str) -> bytes:
    try:
        return target.read_bytes(name)
    except FileNotFoundError as error:
        raise CommitError("a file of a committed folder is missing", received=f"{target.url}/{name}") from error
