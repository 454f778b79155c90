"""Reads a run directory again and again: new events, the live note that counts, and the state. Prints nothing."""

from dataclasses import dataclass
from typing import Any

from mmdist.runtime.lease import live_attempt
from mmdist.runtime.state import RunState, run_state
from mmdist.storage import DRIVER, Event, Store, read_events, read_live

__all__ = ["Follower", "Look", "live_note"]

CHIEF = "worker-0"
WORKER_PHASES = ("train", "evaluate")


@dataclass(frozen=True)
class Look:
    """What one look at the run directory saw: events not seen before, the live note, and the state."""

    new_events: list[Event]
    live: dict[str, Any] | None
    state: RunState


class Follower:
    """Looks at a run, from an attempt on.

    Args:
        run: The run directory.
        first_attempt: Events of earlier attempts are not reported as new.
    """

    def __init__(self, run: Store, *, first_attempt: int = 0) -> None:
        self._run = run
        self._first_attempt = first_attempt
        self._seen: dict[tuple[int, str, int], Event] = {}

    def look(self) -> Look:
        """Reads what is there now."""
        fresh = read_events(self._run, skip=self._seen.keys())
        self._seen.update({(event.attempt, event.writer, event.sequence): event for event in fresh})
        events = sorted(self._seen.values(), key=lambda event: (event.attempt, event.time_s))
        state = run_state(events, driver_alive=live_attempt(self._run, events) is not None)
        new = [event for event in fresh if event.attempt >= self._first_attempt]
        return Look(new, live_note(self._run, state), state)


def live_note(run: Store, state: RunState) -> dict[str, Any] | None:
    """The newest live note of whoever is at work: the chief worker in its phases, else the driver."""
    if state.state != "running":
        return None
    writer = CHIEF if state.phase in WORKER_PHASES else DRIVER
    note = read_live(run, writer)
    begun_s = state.attempts[-1]["started_s"] if state.attempts else 0.0
    return note if note is not None and note["time"] >= begun_s else None
