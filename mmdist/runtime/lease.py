"""Who drives a run: one live driver at a time, told by the newest attempt's holder."""

import time
from typing import Any

from mmdist.errors import UsageError
from mmdist.runtime.processes import is_alive, machine, this_process
from mmdist.storage import DRIVER, Event, EventWriter, Store, claim_attempt, claims, read_events, read_live

__all__ = ["HEARTBEAT_LIMIT_S", "RunTakenError", "claim_run", "holder_is_alive", "live_attempt"]

HEARTBEAT_LIMIT_S = 30.0
"""A driver on another machine counts as dead when its live note is older than this."""
WRITTEN_WITHIN_S = 2.0


class RunTakenError(UsageError):
    """Another driver has the run, or had it since the caller looked."""


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


def claim_run(run: Store, facts: dict[str, Any], *, after: int | None = None) -> EventWriter:
    """Makes this process the run's driver.

    Args:
        run: The run directory.
        facts: Of this attempt.
        after: The newest attempt that the caller has seen the end of; None where any may have ended meanwhile.

    Raises:
        RunTakenError: when another driver holds the run, or held it after that attempt.
    """
    _refuse_second(run, live_attempt(run, read_events(run)))
    writer = claim_attempt(run, {**this_process(), **facts})
    # Two claims at the same moment get two numbers: the lower one stays, the higher one withdraws.
    earlier = _earlier_events(run, writer.attempt)
    other = live_attempt(run, earlier) or _newer(earlier, after)
    if other is not None:
        writer.write("finished", state="withdrawn", exit_code=UsageError.exit_code)
        _refuse_second(run, other)
    return writer


def _earlier_events(run: Store, attempt: int) -> list[Event]:
    """The events of attempts before this one; a claim that is just being written is waited for."""
    deadline = time.monotonic() + WRITTEN_WITHIN_S
    while True:
        events = [event for event in read_events(run) if event.attempt < attempt]
        readable = {event.attempt for event in events if event.kind == "attempt-started"}
        # One that stays unreadable is of a driver that was killed while it wrote.
        if readable >= {number for number in claims(run) if number < attempt} or time.monotonic() > deadline:
            return events
        time.sleep(0.05)


def _newer(events: list[Event], after: int | None) -> Event | None:
    """The claim of an attempt that came, and perhaps ended, since the caller looked."""
    if after is None:
        return None
    withdrawn = {event.attempt for event in events if event.facts.get("state") == "withdrawn"}
    claimed = [event for event in events if event.kind == "attempt-started" and event.attempt not in withdrawn]
    return next((event for event in claimed if event.attempt > after), None)


def _refuse_second(run: Store, other: Event | None) -> None:
    if other is not None:
        raise RunTakenError(
            "another driver is at work on this run",
            expected="one driver per run",
            received=f"process {other.facts.get('pid')} on {other.facts.get('host')}, attempt {other.attempt}",
            remedy=f"watch it with `mmdist status {run.url}`, or end it with `mmdist stop {run.url}`",
        )
