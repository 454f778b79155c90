"""A sample of the crash states; all of them by `python tests/faults/crash_states.py`. And mutants: each is caught."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crash_model import Disk, File, Step
from crash_runs import Protocol, operations_of
from crash_states import FAULTS, LOST, SILENT, STUCK, campaign, scratch_folder
from recorded_os import RecordedOs

from mmdist.errors import StorageError
from mmdist.storage import EventWriter, Store
from mmdist.storage.commit import COMMITTED
from mmdist.training import checkpoint
from mmdist.training.checkpoint import CheckpointWriter, Restored, read_checkpoint


@pytest.fixture
def scratch() -> Iterator[Path]:
    with scratch_folder() as folder:
        yield folder


def test_at_least_5000_states_restore_what_was_told(scratch: Path) -> None:
    found = campaign(scratch, Protocol(), range(0, len(operations_of(scratch)), 40), seed=0, limit=16)
    assert found.faults == []
    assert len(found.seen) >= 5000
    assert min(count for name, count in found.counts.items() if name not in FAULTS) >= 20, found.counts
    assert found.counts["the newest that was told"] > 1000
    assert found.counts["users' files that stayed"] > 100


class NoSync(RecordedOs):
    def fsync(self, descriptor: int) -> None:
        pass


class NoFolderSync(RecordedOs):
    def fsync(self, descriptor: int) -> None:
        if not (Path(self.root) / self._paths.get(descriptor, "")).is_dir():
            super().fsync(descriptor)


class PruneFirst(CheckpointWriter):
    def _write(self, folder: str, arrays: Any, text: bytes, kept: set[str], step: int) -> None:
        for other in [name for name in self._known if name not in kept]:
            checkpoint._delete_checkpoint(self._run, other)
            self._known.remove(other)
        super()._write(folder, arrays, text, kept, step)


POINTER = "checkpoints/NEWEST"


class PointerInPlace(CheckpointWriter):
    def _write(self, folder: str, arrays: Any, text: bytes, kept: set[str], step: int) -> None:
        super()._write(folder, arrays, text, set(self._known) | kept | {folder}, step)
        self._run.write_bytes(POINTER, json.dumps({"newest": folder}).encode())


def follow_pointer(run: Store, events: EventWriter) -> tuple[Restored | None, list[str]]:
    if not run.exists(POINTER):
        return None, []
    try:
        folder = json.loads(run.read_bytes(POINTER))["newest"]
    except (ValueError, KeyError) as error:
        raise StorageError("the pointer cannot be read") from error
    return read_checkpoint(run, folder), checkpoint.committed_checkpoints(run)


def unchecked(run: Store, folder: str) -> dict[str, bytes]:
    return {name: run.read_bytes(f"{folder}/{name}") for name in (checkpoint.ARRAYS, checkpoint.STATE)}


def marker_is_there(run: Store, folder: str) -> bool:
    return run.exists(f"{folder}/{COMMITTED}")


MUTANTS: dict[str, tuple[Protocol, tuple[object, str, object] | None, str]] = {
    "no fsync": (Protocol(system=NoSync), None, LOST),
    "no fsync of folders": (Protocol(system=NoFolderSync), None, LOST),
    "no hash check": (Protocol(), (checkpoint, "read_committed", unchecked), SILENT),
    "pointer updated in place": (Protocol(writer=PointerInPlace, restore=follow_pointer), None, LOST),
    "prune before commit": (Protocol(writer=PruneFirst), None, LOST),
    "a restored checkpoint is not synced": (Protocol(), (Store, "sync_folder", lambda *_: None), LOST),
    "a marker that was cut off counts": (Protocol(), (checkpoint, "is_committed", marker_is_there), STUCK),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_each_mutant_is_caught(scratch: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    protocol, patch, outcome = MUTANTS[name]
    # Killed before a marker is synced.
    kills = [operations_of(scratch).index(Step("sync", f"checkpoints/00000003-0001.0/{COMMITTED}"))]
    if patch is not None:
        monkeypatch.setattr(*patch)
    found = campaign(scratch, protocol, kills, seed=0, limit=16, until=outcome)
    assert found.counts[outcome], found.faults
    assert found.faults


def test_the_model_loses_and_tears_what_was_not_synced_and_only_that() -> None:
    disk = Disk()
    for step in (Step("mkdir", "a"), Step("create", "a/b"), Step("write", "a/b", b"12345678"), Step("sync", "a/b")):
        disk.apply(step)
    trees = list(disk.crashes(100, random.Random(0)))
    assert {} in trees
    assert {"a": None} in trees
    assert {"a": None, "a/b": b"12345678"} in trees
    disk.apply(Step("sync", "a"))
    disk.apply(Step("sync", ""))
    assert list(disk.crashes(100, random.Random(0))) == [{"a": None, "a/b": b"12345678"}]
    disk.apply(Step("write", "a/b", b"9"))
    disk.apply(Step("unlink", "a/b"))
    left = [tree.get("a/b") for tree in disk.crashes(100, random.Random(0))]
    assert None in left
    assert {b"12345678", b"123456789", b"12345678\0"} <= set(left)
    assert File(b"old", [b"", b"12345678"]).choices()[0] == b"old"
    assert {b"", b"1234", b"1234\0\0\0\0", b"\0\0\0\x005678", b"\0" * 8} <= set(
        File(b"old", [b"", b"12345678"]).choices()
    )
