"""Checkpoints on a real S3 server whose answers fail: what was told as saved is there, and nothing is corrupt."""

from collections.abc import Callable

import numpy as np
import pytest
from faulty_proxy import FaultyProxy, Request
from s3_server import BUCKET

from mmdist.errors import StorageError
from mmdist.storage import CommitError, EventWriter, Store, open_store, read_events
from mmdist.training.checkpoint import (
    CheckpointWriter,
    Restored,
    checkpoint_name,
    committed_checkpoints,
    read_checkpoint,
    restore_newest,
)

FAULTS = ("503", "reset", "lost", "truncated", "short", "stall")
SAVES = 3
LARGE = 3_000_000


class Variable:
    """As much of a Keras variable as is read."""

    def __init__(self, value: np.ndarray) -> None:
        self._value = value

    def numpy(self) -> np.ndarray:
        return self._value


def arrays(step: int, size: int = 100) -> list[np.ndarray]:
    return [np.full((size,), step, np.float32) / 3, np.asarray(step)]


def save(run: Store, step: int, attempt: int, known: list[str], *, size: int = 100) -> None:
    writer = CheckpointWriter(run, EventWriter(run, attempt, f"worker-0.{step}"), known)
    try:
        variables = [Variable(value) for value in arrays(step, size)]
        folder = checkpoint_name(step, attempt, 0)
        writer.save(folder, variables, {"step": step}, lambda folders: set(folders[-2:]))
        writer.wait()
    finally:
        writer.close()


def newest(run: Store) -> Restored | None:
    return restore_newest(run, EventWriter(run, 9, "worker-0.0"))[0]


def is_whole(restored: Restored, size: int = 100) -> bool:
    expected = arrays(restored.state["step"], size)
    return [array.tobytes() for array in restored.arrays] == [array.tobytes() for array in expected]


@pytest.fixture
def run(proxy: FaultyProxy, request: pytest.FixtureRequest) -> Store:
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    return open_store(f"s3://{BUCKET}/checkpoints-{name}")


def now_and_then(fault: str, every: int) -> Callable[[Request], str | None]:
    """Breaks one of so many answers. Lengths that lie are for contents alone: of a HEAD they are all there is."""

    def choose(request: Request) -> str | None:
        return fault if request.number % every == 0 and (fault != "short" or request.method == "GET") else None

    return choose


@pytest.mark.parametrize("fault", FAULTS)
def test_saves_and_restores_go_on_through_a_fault(run: Store, proxy: FaultyProxy, fault: str) -> None:
    # A stall takes a second of patience each time.
    proxy.set(now_and_then(fault, 29 if fault == "stall" else 4))
    known: list[str] = []
    for step in range(1, SAVES + 1):
        save(run, step, 1, known)
        known = committed_checkpoints(run)
        restored = newest(run)
        assert restored is not None
        assert restored.state["step"] == step
        assert is_whole(restored)
    assert proxy.broken >= 3
    proxy.set(None)
    told = [event.facts["path"] for event in read_events(run) if event.kind == "checkpoint-saved"]
    assert told == [checkpoint_name(step, 1, 0) for step in range(1, SAVES + 1)]
    assert committed_checkpoints(run) == told[-2:]
    assert all(is_whole(read_checkpoint(run, folder)) for folder in told[-2:])
    assert {entry.path.split("/")[1] for entry in run.list("checkpoints", recursive=True)} == {
        folder.split("/")[1] for folder in told[-2:]
    }
    assert not [event for event in read_events(run) if event.kind == "checkpoint-refused"]


@pytest.mark.parametrize("fault", ["503", "lost", "truncated"])
def test_a_checkpoint_of_several_parts_goes_through_a_fault(run: Store, proxy: FaultyProxy, fault: str) -> None:
    proxy.set(now_and_then(fault, 6))
    save(run, 1, 1, [], size=LARGE)
    restored = newest(run)
    assert restored is not None
    assert is_whole(restored, LARGE)
    assert proxy.broken


def test_storage_that_goes_away_in_the_middle_of_a_save_loses_nothing(
    run: Store, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMDIST_STORAGE_ATTEMPTS", "2")
    patient = run
    save(patient, 1, 1, [])
    before = [checkpoint_name(1, 1, 0)]
    failures = 0
    for attempt in range(2, 100):
        last = (attempt - 2) * 4
        proxy.set(lambda request, last=last: "503" if request.number >= last else None)
        hasty = open_store(patient.url)
        error = None
        try:
            save(hasty, attempt, attempt, before)
        except StorageError as raised:
            error = raised
        done = len(proxy.requests)
        proxy.set(None)
        committed = committed_checkpoints(patient)
        restored = newest(patient)
        assert restored is not None
        assert is_whole(restored)
        if error is None:
            assert restored.state["step"] == attempt
            assert done <= last
            break
        assert error.exit_code == 4
        assert patient.url in str(error)
        assert set(before[-1:]) <= set(committed)
        failures += 1
        before = committed
    assert failures >= 6
    save(patient, 200, 200, committed_checkpoints(patient))
    restored = newest(patient)
    assert restored is not None
    assert restored.state["step"] == 200


def test_the_control_a_changed_object_is_refused_and_told(run: Store, proxy: FaultyProxy) -> None:
    save(run, 1, 1, [])
    save(run, 2, 1, [checkpoint_name(1, 1, 0)])
    path = f"{checkpoint_name(2, 1, 0)}/state.safetensors"
    data = bytearray(run.read_bytes(path))
    data[-1] ^= 1
    run.write_bytes(path, bytes(data))
    with pytest.raises(CommitError, match="does not agree with its manifest"):
        read_checkpoint(run, checkpoint_name(2, 1, 0))
    restored = newest(run)
    assert restored is not None
    assert restored.state["step"] == 1
    assert [event.kind for event in read_events(run)].count("checkpoint-refused") == 1
