"""Tells others every second what this worker does and for how long it may, and looks whether it is asked to stop."""

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from mmdist.errors import MmdistError
from mmdist.storage import Store, read_live, stop_requested, write_live

__all__ = ["Heartbeat", "heed_preemption"]

BEAT_EVERY_S = 1.0
PATIENCE = 5
"""How much longer than a step something may take that tells nothing meanwhile, as long as it can be seen to work:
building and tracing use the processor. Fetching, and remote storage, have their own limits for each answer."""
BUSY_SHARE = 0.1
"""Of one core, what a process that builds or traces uses at least; what only waits uses less."""
STEPPED = ("train", "validate", "predict")
"""Phases that are told by the step, once the first one is done."""

_log = logging.getLogger(__name__)


_preempted = threading.Event()


def heed_preemption() -> None:
    """Asks the worker of this process to write a checkpoint and end: its machine is about to be taken away."""
    _preempted.set()


class Heartbeat:
    """A thread with a live note and an eye on the stop request. A context manager.

    The note says, besides what the worker tells of itself: `doing` (`collective`: it may be waiting for others;
    `checkpoint`: for storage; `fetch`: for a published file), `progress_time` (when it last told something new) and
    `limit_s` (after how many seconds without anything new it counts as stuck). In a phase that tells of no steps yet,
    using the processor counts as something new, for some time.

    Args:
        run: The run.
        worker: Name of the live note.
        identity: What tells this process from those that wrote the note before it. Its id, which the driver knows it
            by, is always said.
        hang_timeout_s: Seconds that a step may take.
        regroup_request: File in the run directory that asks this group to end at its next checkpoint, to make room
            for a larger one; None where nobody will ask.
    """

    def __init__(
        self,
        run: Store,
        worker: str,
        *,
        identity: Mapping[str, Any] | None = None,
        hang_timeout_s: float = 60.0,
        regroup_request: str | None = None,
    ) -> None:
        self._run = run
        self._worker = worker
        self._identity = {"pid": os.getpid(), **(identity or {})}
        self._hang_timeout_s = hang_timeout_s
        self._note: dict[str, Any] = {"phase": "start"}
        self._doing: str | None = None
        self._warm: set[str] = set()
        self._told_s = self._progress_s = time.monotonic()
        self._over = threading.Event()
        self._stop = threading.Event()
        self._regroup_request = regroup_request
        self._regroup = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mmdist-worker-heartbeat", daemon=True)
        self.note_before: dict[str, Any] | None = None
        """The note that an earlier process left under this name: how far it had come."""

    def __enter__(self) -> "Heartbeat":
        try:
            self.note_before = read_live(self._run, self._worker)
        except MmdistError as error:
            _log.warning("the earlier live note could not be read: %s", error)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        # Nobody shall wait for the next beat of a worker that has ended.
        steps = {name: self._note[name] for name in ("step",) if name in self._note}
        self._write({**self._identity, "phase": "done", **steps})

    @property
    def stop_requested(self) -> bool:
        """Whether somebody asked the run to stop, or this machine is about to be taken away."""
        return self._stop.is_set() or _preempted.is_set()

    @property
    def regroup_requested(self) -> bool:
        """Whether this group was asked to make room for a larger one."""
        return self._regroup.is_set()

    @property
    def idle_s(self) -> float:
        """Seconds since this worker last told something new."""
        return time.monotonic() - self._progress_s

    @property
    def limit_s(self) -> float:
        """Seconds without anything new after which this worker counts as stuck."""
        is_patient = self._doing == "fetch" or (self._doing == "checkpoint" and not self._run.is_local)
        return self._hang_timeout_s * (PATIENCE if is_patient else 1)

    @property
    def place(self) -> dict[str, Any]:
        """Where this worker is: `phase`, `doing`, and `epoch` and `step` where it has them."""
        facts = {"doing": self._doing, **self._note}
        return {name: facts[name] for name in ("phase", "doing", "epoch", "step") if facts.get(name) is not None}

    def begin(self, phase: str, **facts: Any) -> None:
        """Starts a phase: the note holds nothing else any more."""
        self._note = {"phase": phase, **facts}
        self._progress()

    def note(self, **facts: Any) -> None:
        """Adds to the note. A worker that hangs does not come here."""
        self._note = {**self._note, **facts}
        if self._note["phase"] in STEPPED:
            self._warm.add(self._note["phase"])
        self._progress()

    def moved(self) -> None:
        """Says that storage took a part of a checkpoint: news of a worker that waits for it, and of no other."""
        if self._doing == "checkpoint":
            self._progress()

    @contextmanager
    def doing(self, what: Literal["collective", "checkpoint", "fetch"]) -> Iterator[None]:
        """Says inside that this worker may be waiting for others, for storage, or for a published file."""
        before, self._doing = self._doing, what
        self._progress()
        try:
            yield
        finally:
            self._doing = before
            self._progress()

    def _progress(self) -> None:
        self._credit()
        self._told_s = self._progress_s

    def _credit(self) -> None:
        self._note["progress_time"] = time.time()
        self._progress_s = time.monotonic()

    def _see_work(self, busy_share: float) -> None:
        """Takes note of how much of a core this process has used since the last beat."""
        is_cold = self._note["phase"] not in self._warm
        silent_s = time.monotonic() - self._told_s
        if is_cold and busy_share >= BUSY_SHARE and silent_s < (PATIENCE - 1) * self._hang_timeout_s:
            self._credit()

    def _work(self) -> None:
        seen_s, used_s = time.monotonic(), time.process_time()
        while True:
            self._write({**self._identity, **self._note, "doing": self._doing, "limit_s": self.limit_s})
            try:
                if not self._stop.is_set() and stop_requested(self._run):
                    self._stop.set()
                if self._regroup_request is not None and self._run.exists(self._regroup_request):
                    self._regroup.set()
            except MmdistError as error:
                _log.warning("whether the run is asked to stop could not be looked up: %s", error)
            if self._over.wait(BEAT_EVERY_S):
                return
            past_s, past_used_s, seen_s, used_s = seen_s, used_s, time.monotonic(), time.process_time()
            self._see_work((used_s - past_used_s) / (seen_s - past_s))

    def _write(self, note: dict[str, Any]) -> None:
        try:
            write_live(self._run, self._worker, note)
        except MmdistError as error:
            # A note decides nothing; the next one may go through.
            _log.warning("the live note could not be written: %s", error)
