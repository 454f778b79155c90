"""Small runs that save, prune and restore checkpoints as a job does, recorded operation by operation."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from crash_model import Step
from recorded_os import KilledError, RecordedOs

from mmdist.models.arrays import describe
from mmdist.spec.train import KeepBestSpec
from mmdist.storage import EventWriter, Store, open_store
from mmdist.training import checkpoint
from mmdist.training.checkpoint import VERSION, CheckpointWriter, Restored, checkpoint_name
from mmdist.training.policies import KeepBest, KeepLast

SAVES = 8
METRICS = (0.1, 0.5, 0.3, 0.2, 0.7, 0.6, 0.7, 0.1, 0.9, 0.2)
NOTE, NOTE_AFTER = "checkpoints/00000002-0001.0/notes.txt", 2
FOREIGN = {"checkpoints/mine/state.json": b"mine", "checkpoints/readme.txt": b"mine"}

Saved = dict[str, tuple[dict[str, Any], list[bytes]]]


@dataclass(frozen=True)
class Protocol:
    """How checkpoints are written and restored. Mutants have other parts than mmdist."""

    name: str = "mmdist"
    writer: type[CheckpointWriter] = CheckpointWriter
    restore: Callable[[Store, EventWriter], tuple[Restored | None, list[str]]] = lambda run, events: (
        checkpoint.restore_newest(run, events)
    )
    system: type[RecordedOs] = RecordedOs


class Variable:
    """As much of a Keras variable as is read."""

    def __init__(self, value: Any) -> None:
        self._value = np.asarray(value)

    def numpy(self) -> Any:
        return self._value


class Promises(EventWriter):
    """Notes, once it is told that a checkpoint is saved, which ones must be there from then on."""

    system: RecordedOs
    kept: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()

    def write(self, kind: str, /, **facts: Any) -> None:
        super().write(kind, **facts)
        if kind == "checkpoint-saved":
            self.promise((self.required | {facts["path"]}) & self.kept)

    def promise(self, required: frozenset[str]) -> None:
        self.required = required
        self.system.steps.append(Step("told", required=required))


class Deaf(EventWriter):
    """Writes nothing: recovery is looked at, not recorded."""

    def write(self, kind: str, /, **facts: Any) -> None:
        pass


def train(run: Store, events: EventWriter, protocol: Protocol, *, saves: int, saved: Saved) -> None:
    """Restores, saves a number of times, and prunes as a job with `keep_last: 1` and `keep_best` does."""
    restored, known = protocol.restore(run, events)
    if restored is not None and isinstance(events, Promises):
        # What is pruned from now on relies on it, so it counts as told.
        events.promise(events.required | {restored.folder})
    start = restored.state["step"] if restored is not None else 0
    best = KeepBest(KeepBestSpec(metric="val/accuracy"), restored.state["best"] if restored is not None else ())
    writer = protocol.writer(run, events, known)
    try:
        for step in range(start + 1, start + saves + 1):
            folder = checkpoint_name(step, events.attempt, 0)
            metrics = {"val/accuracy": METRICS[step % len(METRICS)]}
            best.offer(folder, step=step, epoch=step, metrics=metrics)
            values = [np.full((8, 12), step, np.float32) / 3, np.int64(step * 1000 + events.attempt), np.zeros((0, 2))]
            arrays = [np.asarray(value) for value in values]
            state = {"step": step, "best": [dict(entry) for entry in best.entries]}
            whole = {**state, "version": VERSION, "arrays": describe(arrays)}
            saved[folder] = json.loads(json.dumps(whole)), [array.tobytes() for array in arrays]
            kept = best.chosen()
            if isinstance(events, Promises):
                events.kept = frozenset({folder, *kept})
            writer.save(
                folder, [Variable(a) for a in arrays], state, lambda all_, kept=kept: KeepLast(1).chosen(all_) | kept
            )
            writer.wait()
            if step == NOTE_AFTER and events.attempt == 1:
                run.write_bytes(NOTE, b"mine")
    finally:
        writer.close()


def record(folder: Path, protocol: Protocol, saved: Saved, *, kill_at: int = -1) -> tuple[list[Step], int]:
    """The steps of a run, and how many of them its first process did."""
    folder.mkdir()
    steps: list[Step] = []
    begun = 0
    required: frozenset[str] = frozenset()
    for attempt, saves in ((1, SAVES), (2, 2)):
        system = protocol.system(str(folder), kill_at=kill_at if attempt == 1 else -1)
        with system.installed():
            run = open_store(str(folder))
            events = Promises(run, attempt, "worker-0.0")
            events.system, events.required = system, required
            try:
                if attempt == 1:
                    for path, content in FOREIGN.items():
                        run.write_bytes(path, content)
                train(run, events, protocol, saves=saves, saved=saved)
            except KilledError:
                required = events.required
        steps += system.steps
        if attempt == 1:
            begun = len(steps)
            if not system.is_dead:
                break
    return steps, begun


def operations_of(scratch: Path) -> list[Step]:
    """The operations of the run that goes through: what `kills` are numbers of."""
    steps, _ = record(scratch / "operations", Protocol(), {})
    return [step for step in steps if step.kind != "told"]
