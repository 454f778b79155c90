"""Each storage operation of a save fails in turn: what was saved stays, the error is clear, the next save works."""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crash_runs import Variable
from recorded_os import RecordedOs

from mmdist.errors import StorageError
from mmdist.storage import EventWriter, Store, open_store
from mmdist.training.checkpoint import (
    CheckpointWriter,
    checkpoint_name,
    committed_checkpoints,
    read_checkpoint,
    restore_newest,
)

ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)
OLD = [checkpoint_name(step, 1, 0) for step in (1, 2)]
NEW = checkpoint_name(3, 1, 0)


def start_save(run: Store, step: int, attempt: int, known: list[str]) -> CheckpointWriter:
    writer = CheckpointWriter(run, EventWriter(run, attempt, "worker-0.0"), known)
    variables = [Variable(np.full((40, 3), step, np.float32)), Variable(np.int64(step))]
    writer.save(checkpoint_name(step, attempt, 0), variables, {"step": step}, lambda folders: set(folders[-2:]))
    return writer


def save(run: Store, step: int, attempt: int, known: list[str]) -> None:
    writer = start_save(run, step, attempt, known)
    try:
        writer.wait()
    finally:
        writer.close()


def restored_step(run: Store) -> int:
    restored, _ = restore_newest(run, EventWriter(run, 7, "worker-0.0"))
    assert restored is not None
    step = int(restored.state["step"])
    assert restored.arrays[0].tobytes() == np.full((40, 3), step, np.float32).tobytes()
    assert restored.arrays[1] == step
    return step


def prepared(folder: Path) -> Store:
    run = open_store(str(folder))
    save(run, 1, 1, [])
    save(run, 2, 1, [OLD[0]])
    run.write_bytes(f"{OLD[0]}/notes.txt", b"mine")
    return run


def check_after(run: Store, error: StorageError | None, number: int, operation: str) -> None:
    """What holds whatever failed, and wherever."""
    committed = committed_checkpoints(run)
    if error is None or NEW in committed:
        assert read_checkpoint(run, NEW).state["step"] == 3, operation
    else:
        # Nothing was pruned for one that is not there, and nothing half written is left.
        assert committed == OLD, operation
        assert [read_checkpoint(run, folder).state["step"] for folder in OLD] == [1, 2]
    if error is not None:
        assert error.exit_code == 4
        assert (error.place and run.url in str(error.place)) or run.url in str(error.received), str(error)
        assert error.remedy or "manifest" in str(error)
        if "errno" in str(error).lower():
            assert f"[Errno {number}]" in str(error) or f"errno {number}" in str(error)
    assert run.read_bytes(f"{OLD[0]}/notes.txt") == b"mine"
    assert restored_step(run) == (3 if NEW in committed else 2)
    save(run, 4, 2, committed)
    assert restored_step(run) == 4
    names = {entry.path for entry in run.list("checkpoints")}
    assert names - {*committed_checkpoints(run), OLD[0]} == set(), "nothing half written is left behind"


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
def test_each_write_sync_and_deletion_fails_in_turn(tmp_path: Path, number: int) -> None:
    outcomes = {"saved": 0, "failed": 0}
    for fail_at in range(200):
        run = prepared(tmp_path / str(fail_at))
        system = RecordedOs(run.root, fail_at=fail_at, error=number)
        error = None
        with system.installed():
            try:
                save(run, 3, 1, list(OLD))
            except StorageError as raised:
                error = raised
        if system.operations <= fail_at:
            assert error is None
            break
        check_after(run, error, number, f"operation {fail_at}: {system.steps[-1:]}")
        outcomes["failed" if error else "saved"] += 1
    assert outcomes["failed"] >= 20, outcomes
    assert fail_at < 199


class FailingFiles:
    """A filesystem of which one call fails."""

    def __init__(self, real: Any, fail_at: int, number: int) -> None:
        self._real, self._fail_at, self._number = real, fail_at, number
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._real, name)

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls - 1 == self._fail_at:
                raise OSError(self._number, f"[Errno {self._number}] failed for the test")
            return function(*arguments, **options)

        return call


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Has every store of a folder, children included, look and read through one failing filesystem."""
    real = Store.__init__

    def install(files: FailingFiles | None) -> None:
        def initialise(self: Store, *arguments: Any, **options: Any) -> None:
            real(self, *arguments, **options)
            if files is not None:
                self.filesystem = files  # type: ignore[assignment]

        monkeypatch.setattr(Store, "__init__", initialise)

    yield install
    monkeypatch.undo()


@pytest.mark.parametrize("number", [errno.EIO], ids=errno.errorcode.get)
def test_each_look_and_reading_fails_in_turn(tmp_path: Path, failing: Any, number: int) -> None:
    failed = 0
    for fail_at in range(200):
        run = prepared(tmp_path / str(fail_at))
        files = FailingFiles(run.filesystem, fail_at, number)
        failing(files)
        error = None
        try:
            save(open_store(run.url), 3, 1, list(OLD))
        except StorageError as raised:
            error = raised
        failing(None)
        if files.calls <= fail_at:
            assert error is None
            break
        failed += error is not None
        check_after(run, error, number, f"call {fail_at}")
    assert failed >= 8
    assert fail_at < 199


def test_a_folder_that_is_taken_away_meanwhile_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prepared(tmp_path)
    system = RecordedOs(run.root)

    def write(descriptor: int, data: memoryview) -> int:
        raise FileNotFoundError(errno.ENOENT, "gone")

    system.write = write  # type: ignore[method-assign]
    with system.installed(), pytest.raises(StorageError, match="taken away while it was written"):
        save(run, 3, 1, list(OLD))
    assert committed_checkpoints(run) == OLD


def test_retention_leaves_what_others_put_there(tmp_path: Path) -> None:
    run = prepared(tmp_path)
    foreign = {
        "checkpoints/mine/state.safetensors": b"1",
        "checkpoints/00000001/state.json": b"2",
        "checkpoints/00000001-0001.0.bak/COMMITTED": b"3",
        "checkpoints/00000009-0042.0/state.json": b"of an attempt that this run never had",
        "checkpoints/COMMITTED": b"4",
        f"{OLD[0]}/sub/state.json": b"5",
    }
    for path, content in foreign.items():
        run.write_bytes(path, content)
    half = "checkpoints/00000002-0001.1"
    run.write_bytes(f"{half}/state.safetensors", b"an attempt ended here")
    known = list(OLD)
    for step in (3, 4, 5):
        save(run, step, 2, known)
        known = committed_checkpoints(run)
    assert {path: run.read_bytes(path) for path in foreign} == foreign
    assert run.read_bytes(f"{OLD[0]}/notes.txt") == b"mine"
    # The control: its own files are gone, those of the attempt that ended half-way too.
    assert not run.exists(f"{OLD[0]}/state.safetensors")
    assert not run.exists(OLD[1])
    assert not run.exists(half)
    assert known == [checkpoint_name(step, 2, 0) for step in (4, 5)]
