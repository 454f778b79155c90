"""The events of a run: immutable files, one per event, that its state is a function of.

A file is named `ATTEMPT-WRITER-SEQ.json`. An attempt is one driver's hold on the run; its number is claimed by
writing the driver's first event, which nobody else can write. Workers add events of their own under it.
"""

import json
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from mmdist.storage.store import Store

__all__ = ["DRIVER", "Event", "EventWriter", "claim_attempt", "claims", "read_events", "write_first"]

DRIVER = "driver"
FOLDER = "events"


@dataclass(frozen=True)
class Event:
    """One thing that happened: who wrote it, when (seconds since 1970), what kind, and its facts."""

    attempt: int
    writer: str
    sequence: int
    time_s: float
    kind: str
    facts: dict[str, Any]


class EventWriter:
    """Writes the events of one writer of one attempt, in order. Safe to call from several threads."""

    def __init__(self, run: Store, attempt: int, writer: str, *, first_sequence: int = 0) -> None:
        self.run = run
        self.attempt = attempt
        self.writer = writer
        self._next = first_sequence
        self._lock = threading.Lock()

    def write(self, kind: str, /, **facts: Any) -> None:
        """Writes an event of a kind (a word, or words joined by `-`) with facts that JSON can hold."""
        with self._lock:
            path = _path(self.attempt, self.writer, self._next)
            self.run.write_bytes(path, _encode(kind, facts))
            self._next += 1


def write_first(run: Store, attempt: int, writer: str, kind: str, /, **facts: Any) -> bool:
    """Writes a writer's first event unless there is one. True where this call wrote it."""
    return run.write_if_absent(_path(attempt, writer, 0), _encode(kind, facts))


def claims(run: Store) -> list[int]:
    """Every attempt that was claimed, from the first, also by a driver whose event cannot be read (yet)."""
    names = [entry.path.removeprefix(f"{FOLDER}/").partition("-") for entry in run.list(FOLDER)]
    return sorted(int(attempt) for attempt, _, rest in names if attempt.isdigit() and rest == f"{DRIVER}-000000.json")


def claim_attempt(run: Store, facts: dict[str, Any]) -> EventWriter:
    """Claims the next attempt by its first event, of kind `attempt-started`; returns the driver's writer."""
    attempts = [event.attempt for event in read_events(run)]
    attempt = max(attempts, default=0) + 1
    while not run.write_if_absent(_path(attempt, DRIVER, 0), _encode("attempt-started", facts)):
        attempt += 1
    return EventWriter(run, attempt, DRIVER, first_sequence=1)


def read_events(run: Store, *, skip: Collection[tuple[int, str, int]] = ()) -> list[Event]:
    """All events, by attempt, time, writer and sequence. A file that is still being written is left out.

    Args:
        run: The run directory.
        skip: (attempt, writer, sequence) of events that are known already; their files are not read again.
    """
    events = []
    for entry in run.list(FOLDER):
        name = entry.path.removeprefix(f"{FOLDER}/").removesuffix(".json")
        attempt, _, rest = name.partition("-")
        writer, _, sequence = rest.rpartition("-")
        if entry.is_folder or not (attempt.isdigit() and writer and sequence.isdigit()):
            continue
        if (int(attempt), writer, int(sequence)) in skip:
            continue
        try:
            record = json.loads(run.read_bytes(entry.path))
        except (ValueError, FileNotFoundError):
            continue
        events.append(
            Event(int(attempt), writer, int(sequence), record["time"], record["kind"], record.get("facts", {}))
        )
    return sorted(events, key=lambda event: (event.attempt, event.time_s, event.writer, event.sequence))


def _path(attempt: int, writer: str, sequence: int) -> str:
    return f"{FOLDER}/{attempt:04d}-{writer}-{sequence:06d}.json"


def _encode(kind: str, facts: dict[str, Any]) -> bytes:
    return json.dumps({"time": time.time(), "kind": kind, "facts": facts}, default=str).encode()
