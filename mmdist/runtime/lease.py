"""Who drives a run: one live driver at a time, told by the newest attempt's holder."""

import time
from typing import Any

from mmdist.errors import UsageError
from mmdist.runtime.processes import is_alive, machine, this_process
from mmdist.storage import DRIVER, Event, EventWriter, Store, claim_attempt, read_events, read_live

__all__ = ["HEARTBEAT_LIMIT_S", "claim_run", "holder_is_alive", "live_attempt"]

HEARTBEAT_LIMIT_S = 30.0
"""A driver on another machine counts as dead when its live note is older than this."""


def holder_is_alive(run: Store, started: Event) -> bool:
    """Whether the driver that wrote an `attempt-started` event still runs."""
    facts = started.facts
    if facts.get("machine") == machine():
        return is_alive(facts["pid"], facts["process_started"])
    note = read_live(run, DRIVER)
    latest = max(note["time"] if note and note.get("attempt") == started.attempt else 0.0, started.time_s)
    return bool(time.time() - latest < HEARTBEAT_LIMIT_S)


def live_attempt(run: Store, events: list[Event]) -> Event | None:
    """The `attempt-started` event of the driver that holds the run now; None where nobody does."""
    finished = {event.attempt for event in events if event.kind == "finished" and event.writer == DRIVER}
    for event in events:
        if event.kind == "attempt-started" and event.attempt not in finished and holder_is_alive(run, event):
            return event
    return None


def claim_run(run: Store, facts: dict[str, Any]) -> EventWriter:
    """Makes this process the run's driver.

    Raises:
        UsageError: when another driver holds the run.
    """
    _refuse_second(run, live_attempt(run, read_events(run)))
    writer = claim_attempt(run, {**this_process(), **facts})
    # Two claims at the same moment get two numbers: the lower one stays, the higher one withdraws.
    earlier = [event for event in read_events(run) if event.attempt < writer.attempt]
    other = live_attempt(run, earlier)
    if other is not None:
        writer.write("finished", state="withdrawn", exit_code=UsageError.exit_code)
        _refuse_second(run, other)
    return writer


def _refuse_second(run: Store, other: Event | None) -> None:
    if other is not None:
        raise UsageError(
            "another driver is at work on this run",
            expected="one driver per run",
            received=f"process {other.facts.get('pid')} on {other.facts.get('host')}, attempt {other.attempt}",
            remedy=f"watch it with `mmdist status {run.url}`, or end it with `mmdist stop {run.url}`",
        )
