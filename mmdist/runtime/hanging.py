"""Decides whether workers hang, and whose fault it is in a group, from what their live notes say. No I/O."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Hang", "Watched", "find_hang"]

MARGIN_S = 2.0
"""What a worker's own look at itself comes before ours by: its stacks are written then."""
FRESH_S = 3.5
"""A note that is older says nothing of whether its worker is stuck; it is written every second."""


@dataclass
class Watched:
    """One worker process. Times are read off this process's own clock: clocks of other machines may be wrong."""

    facts: Mapping[str, Any]
    """Of the event that it started: `host`, `pid`, `process_started`, `machine`, `node_id`; in a group, `rank`."""
    timeout_s: float
    clock: Callable[[], float] = time.monotonic
    note: dict[str, Any] = field(default_factory=dict)
    beat_s: float = field(init=False)
    """When its note was last seen to be a new one."""
    progress_s: float = field(init=False)
    """When it was last seen to tell of something new."""

    def __post_init__(self) -> None:
        self.beat_s = self.progress_s = self.clock()

    def see(self, note: Mapping[str, Any] | None, *, took_s: float = 0.0) -> None:
        """Takes the live note that is there now, if it is this process's.

        Args:
            note: The note.
            took_s: How long storage took to give it: that long, the worker may have waited for storage too.
        """
        self.beat_s += took_s
        self.progress_s += took_s
        if note is None or note.get("pid") != self.facts["pid"]:
            return
        now = self.clock()
        if note.get("time") != self.note.get("time"):
            self.beat_s = now
        if any(note.get(name) != self.note.get(name) for name in ("phase", "progress_time", "doing")):
            self.progress_s = now
        self.note = dict(note)

    @property
    def is_done(self) -> bool:
        """Whether it said that it ended."""
        return self.note.get("phase") == "done"

    @property
    def is_silent(self) -> bool:
        """Whether it sends no notes: its process is stopped, or cut off, or cannot even run a thread."""
        return self.clock() - self.beat_s > self.timeout_s + MARGIN_S

    @property
    def is_stuck(self) -> bool:
        """Whether it sends notes that tell of nothing new."""
        now = self.clock()
        limit_s = float(self.note.get("limit_s") or self.timeout_s) + MARGIN_S
        return now - self.progress_s > limit_s and now - self.beat_s < FRESH_S

    @property
    def is_waiting(self) -> bool:
        """Whether it may be waiting for other workers."""
        return self.note.get("doing") == "collective"


@dataclass(frozen=True)
class Hang:
    """A worker that hangs, and how."""

    worker: Watched
    how: str
    """`silent` or `stuck`."""

    @property
    def words(self) -> str:
        """Which worker hangs, where, in which phase, and for how long."""
        worker = self.worker
        since_s = worker.clock() - (worker.beat_s if self.how == "silent" else worker.progress_s)
        what = "gave no sign of life" if self.how == "silent" else "made no progress"
        place = str(worker.note.get("phase", "start"))
        if worker.note.get("step") is not None:
            place += f", after step {worker.note['step']}"
        if worker.is_waiting:
            place += ", inside an operation with all workers"
        title = f"worker {worker.facts['rank']}" if "rank" in worker.facts else "a worker"
        name = f"{title} on {worker.facts.get('host')} (process {worker.facts['pid']})"
        return f"{name} {what} for {since_s:.0f} s in the phase {place}"


def find_hang(workers: Sequence[Watched]) -> list[Hang]:
    """Those that keep the group from going on; empty where it does, or may yet.

    A worker that waits for the others is a victim: it counts only where no other can be at fault.
    """
    at_work = [worker for worker in workers if not worker.is_done]
    silent = [Hang(worker, "silent") for worker in at_work if worker.is_silent]
    if silent:
        return silent
    busy = [worker for worker in at_work if not worker.is_waiting]
    culprits = [Hang(worker, "stuck") for worker in busy if worker.is_stuck]
    if culprits or busy:
        return culprits
    return [Hang(worker, "stuck") for worker in at_work] if all(worker.is_stuck for worker in at_work) else []
