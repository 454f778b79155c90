"""One attempt at a run in a process of its own, that knows where it is and may kill itself there.

What it watches lies outside mmdist: the steps that are taken, the phases that are told, and each operation that
`mmdist.storage.local` does to the run's folder. Importing this imports no TensorFlow; `watched_attempt` does.
"""

import json
import mmap
import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

START, RESTORE, TRACE, STEP = "start", "restoring", "first step, being traced", "in a step"
BETWEEN, VALIDATE, EVALUATE, REPORT = "between steps", "validating", "evaluating", "writing the report"
DATA, MANIFEST, MARKER = "saving: data", "saving: between data and marker", "saving: marker, reading back"
TELL, PRUNE, EPOCH = "saving: telling that it is saved", "pruning", "recording an epoch or an event"
MODEL, VOCABULARY = "writing the model", "writing the vocabulary"
PLACES = (START, VOCABULARY, RESTORE, TRACE, STEP, BETWEEN, DATA, MANIFEST, MARKER, TELL, PRUNE, EPOCH)
PLACES += (VALIDATE, MODEL, EVALUATE, REPORT)
SLOT_BYTES = 64
CONTROLS = ("seeds", "slots", "cursor")
"""What resuming may be made to forget."""


@dataclass(frozen=True)
class Aim:
    """Where to die: at the `nth` time in `place`, before it, after it, or in the middle (`delay_s` into a phase)."""

    place: str
    nth: int
    when: str = "before"
    delay_s: float = 0.0


@dataclass
class Watch:
    """Says in a file that outlives the process where each of its two threads is, and kills it where it aims."""

    folder: Path
    attempt: int
    aim: Aim | None = None
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._path = self.folder / f"place-{self.attempt}"
        self._path.write_bytes(b" " * SLOT_BYTES * 2)
        with self._path.open("r+b") as file:
            self._slots = mmap.mmap(file.fileno(), SLOT_BYTES * 2)
        self._fed = os.open(self.folder / f"fed-{self.attempt}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._writer = 0
        self._steps = 0

    @property
    def is_writer(self) -> bool:
        """Whether this is the thread that writes checkpoints: between two operations it stays where it was."""
        return threading.get_ident() == self._writer

    @property
    def written(self) -> str:
        """Where the thread that writes checkpoints is."""
        return self._slots[SLOT_BYTES:].decode().strip()

    def say(self, place: str) -> str:
        """Notes where this thread is now; returns where it was."""
        start = SLOT_BYTES if self.is_writer else 0
        before = self._slots[start : start + SLOT_BYTES]
        self._slots[start : start + SLOT_BYTES] = place.encode().ljust(SLOT_BYTES)
        return before.decode().strip()

    def operation(self, place: str, work: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        """Does something in a place, unless it dies before, in the middle or after."""
        before = self.say(place)
        aim = self._hit(place)
        if aim is not None and aim.when == "before":
            die()
        if aim is not None and aim.when == "middle" and half is not None:
            half()
            die()
        result = work()
        if aim is not None:
            die()
        if not self.is_writer:
            self.say(before)
        return result

    def phase(self, place: str) -> None:
        """Enters something that lasts; dies some time after."""
        self.say(place)
        aim = self._hit(place)
        if aim is not None:
            threading.Timer(aim.delay_s, die).start()

    def writing(self, work: Callable[[], Any]) -> Any:
        """Does the whole work of the thread that writes checkpoints."""
        self._writer = threading.get_ident()
        self.say(DATA)
        try:
            return work()
        finally:
            self.say("")

    def step(self, batch: Any, epoch: int) -> None:
        """Enters a step, and notes what it is fed: rows, and how much each counts."""
        rows = [int(row) for row in np.asarray(batch.row)[np.asarray(batch.mask) > 0]]
        os.write(self._fed, json.dumps([epoch, int(batch.index), rows]).encode() + b"\n")
        self._steps += 1
        self.phase(STEP if self._steps > 1 else TRACE)

    def _hit(self, place: str) -> Aim | None:
        self.counts[place] += 1
        if self.aim is None or place != self.aim.place or self.counts[place] != self.aim.nth:
            return None
        return self.aim


def die() -> None:
    """At once, as by the kernel."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def place_of(folder: Path, attempt: int) -> str:
    """Where a process was when it died: what its writer of checkpoints did, else what its main thread did."""
    path = folder / f"place-{attempt}"
    if not path.exists():
        return START
    slots = path.read_bytes().decode()
    return slots[SLOT_BYTES:].strip() or slots[:SLOT_BYTES].strip() or START


class WatchedOs:
    """Stands in for `os` in `mmdist.storage.local`: each change below a run's folder is an operation of a place."""

    def __init__(self, root: str, watch: Watch) -> None:
        self._root = root.rstrip("/") + "/"
        self._watch = watch
        self._paths: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        place = self._place(path) if flags & os.O_CREAT else None
        if place is None:
            descriptor = os.open(path, flags, mode)
        else:
            descriptor = self._watch.operation(place, lambda: os.open(path, flags, mode))
        self._paths[descriptor] = path
        return descriptor

    def write(self, descriptor: int, data: memoryview) -> int:
        place = self._place(self._paths.get(descriptor, ""))
        if place is None:
            return os.write(descriptor, data)
        half = data[: len(data) // 2]
        count: int = self._watch.operation(
            place, lambda: os.write(descriptor, data), lambda: os.write(descriptor, half)
        )
        return count

    def fsync(self, descriptor: int) -> None:
        self._change(self._paths.get(descriptor, ""), lambda: os.fsync(descriptor))

    def close(self, descriptor: int) -> None:
        self._paths.pop(descriptor, None)
        os.close(descriptor)

    def mkdir(self, path: str) -> None:
        self._change(path, lambda: os.mkdir(path))

    def unlink(self, path: str) -> None:
        self._change(path, lambda: os.unlink(path), PRUNE)

    def rmdir(self, path: str) -> None:
        self._change(path, lambda: os.rmdir(path), PRUNE)

    def _change(self, path: str, work: Callable[[], Any], checkpoint: str | None = None) -> None:
        place = self._place(path)
        if place is None:
            work()
            return
        self._watch.operation(checkpoint if checkpoint and "/checkpoints/" in path else place, work)

    def _place(self, path: str) -> str | None:
        if not path.startswith(self._root):
            return None
        section, _, rest = path.removeprefix(self._root).partition("/")
        if section == "checkpoints":
            name = rest.partition("/")[2]
            if not name:  # the folder itself is made, synced or deleted
                return self._watch.written or DATA
            return {"COMMITTED": MARKER, "manifest.json": MANIFEST}.get(name, DATA)
        if section == "events" and self._watch.is_writer:
            return TELL
        names = {"model": MODEL, "report": REPORT, "vocabulary": VOCABULARY}
        names |= dict.fromkeys(("events", "ledger", "metrics", "quarantine"), EPOCH)
        return names.get(section)


def install(watch: Watch, run: str) -> None:
    """Puts the watch where mmdist works."""
    from mmdist.storage import local
    from mmdist.training import finish, session
    from mmdist.training.checkpoint import CheckpointWriter
    from mmdist.training.heartbeat import Heartbeat
    from mmdist.training.step import Steps

    local.os = WatchedOs(run, watch)  # type: ignore[attr-defined, assignment]
    phases = {"train": BETWEEN, "validate": VALIDATE, "evaluate": EVALUATE}
    train, begin, write = Steps.train, Heartbeat.begin, CheckpointWriter._write
    restore, render = session.restore_newest, finish.render_report

    def watched_step(self: Any, batch: Any, *, epoch: int, **votes: Any) -> Any:
        watch.step(batch, epoch)
        result = train(self, batch, epoch=epoch, **votes)
        watch.say(BETWEEN)
        return result

    def watched_begin(self: Any, phase: str, **facts: Any) -> None:
        begin(self, phase, **facts)
        if phase in phases:
            watch.phase(phases[phase])

    def watched_restore(*arguments: Any) -> Any:
        watch.phase(RESTORE)
        result = restore(*arguments)
        watch.say(START)
        return result

    def watched_render(*arguments: Any) -> Any:
        watch.say(REPORT)
        return render(*arguments)

    Steps.train, Heartbeat.begin = watched_step, watched_begin  # type: ignore[method-assign]
    CheckpointWriter._write = lambda *arguments: watch.writing(lambda: write(*arguments))  # type: ignore[method-assign]
    session.restore_newest, finish.render_report = watched_restore, watched_render


def forget(control: str) -> None:
    """Breaks resuming: the campaign must find out."""
    from mmdist.training import session

    assign, from_json = session.assign_arrays, session.TrainingState.from_json

    def without(variables: Any, arrays: Any, *, file: str) -> None:
        what = {"seeds": "seed_generator", "slots": "adam"}[control]
        kept = [number for number, variable in enumerate(variables) if what not in variable.path]
        assert len(kept) < len(variables), f"no variable is called {what}"
        assign([variables[number] for number in kept], [arrays[number] for number in kept], file=file)

    def one_on(record: Any, *, is_chief: bool) -> Any:
        state = from_json(record, is_chief=is_chief)
        state.next_batch += 1
        return state

    if control == "cursor":
        session.TrainingState.from_json = one_on  # type: ignore[method-assign, assignment]
    else:
        session.assign_arrays = without  # type: ignore[assignment]


def watched_attempt(run: str, folder: str, attempt: int, aim: Aim | None, control: str | None) -> None:
    """Trains, from the start or from a checkpoint; exits with 0 once the run is over, with 1 for any error."""
    log = os.open(f"{folder}/log-{attempt}", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    watch = Watch(Path(folder), attempt, aim)
    try:
        install(watch, run)
        if control is not None and attempt > 1:
            forget(control)
        from mmdist.training.worker import train_worker

        train_worker({"run_url": run, "attempt": attempt})
        Path(folder, f"counts-{attempt}.json").write_text(json.dumps(watch.counts))
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)
