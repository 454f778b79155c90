"""Tells of a piece of work on Ray Data while it is done, so that the driver sees one that hangs."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache

from mmdist.runtime.processes import this_worker
from mmdist.storage import EventWriter, open_store
from mmdist.training.heartbeat import Heartbeat
from mmdist.training.watchdog import Watchdog

__all__ = ["STARTED", "Attendance"]

STARTED = "pool-worker-started"
"""The event of a process that begins its first piece."""


@dataclass(frozen=True)
class Attendance:
    """Goes to Ray's processes, which enter what it gives around each piece (`mmdist.storage.Attend`)."""

    run_url: str
    attempt: int
    phase: str
    hang_timeout_s: float
    is_patient: bool
    """Whether a piece may wait for storage for five times as long: for a slow disk, or requests that are repeated."""

    @contextmanager
    def __call__(self) -> Iterator[Callable[[], None]]:
        """Yields what to call whenever the piece has come a little further."""
        events = _introduced(self.run_url, self.attempt, self.phase)
        with (
            Heartbeat(events.run, events.writer, hang_timeout_s=self.hang_timeout_s) as heartbeat,
            Watchdog(heartbeat, events),
        ):
            heartbeat.begin(self.phase)
            with heartbeat.doing("fetch") if self.is_patient else nullcontext():
                yield heartbeat.note


@cache
def _introduced(run_url: str, attempt: int, phase: str) -> EventWriter:
    """This process's own writer of events in the run, after the first of them: once in a process."""
    facts = this_worker()
    name = hashlib.sha256(f"{facts['machine']}/{facts['pid']}/{facts['process_started']}".encode()).hexdigest()[:12]
    events = EventWriter(open_store(run_url), attempt, f"{phase}-{name}")
    events.write(STARTED, phase=phase, **facts)
    return events
