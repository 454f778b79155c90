"""The state of a run, as a function of its events. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mmdist.errors import BadRowsError
from mmdist.runtime.attempts import attempt_records
from mmdist.storage import DRIVER, Event

__all__ = ["SUBMIT", "RunState", "StateName", "run_state"]

SUBMIT = "submit"
"""Writer of a run's first event, `submitted`, under attempt 0."""

StateName = Literal["submitted", "running", "interrupted", "succeeded", "failed", "stopped"]


@dataclass(frozen=True)
class RunState:
    """What a run's events say of it. Times are in seconds since 1970."""

    state: StateName = "submitted"
    kind: str = "?"
    name: str = "?"
    phase: str | None = None
    attempt: int = 0
    attempts: tuple[dict[str, Any], ...] = ()
    submitted_s: float | None = None
    started_s: float | None = None
    ended_s: float | None = None
    exit_code: int | None = None
    error: dict[str, Any] | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    epochs: tuple[dict[str, Any], ...] = ()
    checkpoint: str | None = None
    report: str | None = None
    output: str | None = None
    split: str | None = None
    """The rows that `metrics` are about: test, validation or input."""

    @property
    def is_over(self) -> bool:
        """Whether the newest attempt ended and said how."""
        return self.state in ("succeeded", "failed", "stopped")

    @property
    def can_resume(self) -> bool:
        """Whether `--resume` would go on with it."""
        return self.state in ("submitted", "interrupted", "failed", "stopped")

    @property
    def has_bad_rows(self) -> bool:
        """Whether it failed over more bad rows than its job bears, as it would again."""
        return self.state == "failed" and (self.error or {}).get("error") == BadRowsError.__name__


def run_state(events: Sequence[Event], *, driver_alive: bool) -> RunState:
    """The state that events lead to.

    Args:
        events: All events there are, in any order.
        driver_alive: Whether some attempt without a `finished` event is held by a live driver.
    """
    events = sorted(events, key=lambda event: (event.attempt, event.time_s, event.writer, event.sequence))
    submitted = next((event for event in events if event.kind == "submitted"), None)
    refused = _refused_claims(events)
    counted = [event for event in events if event.attempt > 0 and event.attempt not in refused]
    origin = submitted.facts if submitted else {}
    base: dict[str, Any] = {
        "kind": origin.get("kind", "?"),
        "name": origin.get("name", "?"),
        "submitted_s": submitted.time_s if submitted else None,
    }
    if not counted:
        return RunState(**base)
    ends = {event.attempt: event for event in counted if event.kind == "finished" and event.writer == DRIVER}
    # What succeeded once has succeeded, whoever claimed the run after that.
    succeeded = [attempt for attempt, end in ends.items() if end.facts.get("state") == "succeeded"]
    newest = min(succeeded, default=max(event.attempt for event in counted))
    current = [event for event in counted if event.attempt == newest]
    finished = ends.get(newest)
    phases = [event for event in current if event.kind == "phase"]
    checkpoints = [event for event in counted if event.kind == "checkpoint-saved"]
    state: StateName = "running" if driver_alive else "interrupted"
    if finished is not None:
        state = finished.facts.get("state", "failed")
    facts = finished.facts if finished else {}
    return RunState(
        **base,
        state=state,
        phase=None if finished else (phases[-1].facts.get("name") if phases else "start"),
        attempt=newest,
        attempts=attempt_records(counted, running=newest if state == "running" else None),
        started_s=counted[0].time_s,
        ended_s=finished.time_s if finished else (None if driver_alive else counted[-1].time_s),
        exit_code=facts.get("exit_code"),
        error=facts.get("failure") or _last_failure(current, driver_alive=driver_alive),
        metrics=facts.get("metrics") or {},
        split=facts.get("split"),
        epochs=tuple(_epochs(counted)),
        checkpoint=checkpoints[-1].facts.get("path") if checkpoints else None,
        report=facts.get("report"),
        output=facts.get("output"),
    )


def _refused_claims(events: Sequence[Event]) -> set[int]:
    """Attempts that did nothing, for another had the run: they say so, or were killed before they could."""
    withdrawn = {event.attempt for event in events if event.facts.get("state") == "withdrawn"}
    ended_s = {event.attempt: event.time_s for event in events if event.kind == "finished" and event.writer == DRIVER}
    kinds: dict[int, set[str]] = {}
    for event in events:
        kinds.setdefault(event.attempt, set()).add(event.kind)
    for event in events:
        if event.kind == "attempt-started" and kinds[event.attempt] == {"attempt-started"}:
            earlier = [time_s for attempt, time_s in ended_s.items() if 0 < attempt < event.attempt]
            if any(event.time_s < time_s for time_s in earlier):
                withdrawn.add(event.attempt)
    return withdrawn


def _last_failure(events: Sequence[Event], *, driver_alive: bool) -> dict[str, Any] | None:
    failures = [event for event in events if event.kind == "failed"]
    return dict(failures[-1].facts) if failures and not driver_alive else None


def _epochs(events: Sequence[Event]) -> list[dict[str, Any]]:
    """The result of each epoch; of one that was trained again after a resume, the newest."""
    found: dict[int, dict[str, Any]] = {}
    for event in events:
        if event.kind == "epoch-finished" and "epoch" in event.facts:
            found[int(event.facts["epoch"])] = {"time_s": event.time_s, **event.facts}
    return [found[epoch] for epoch in sorted(found)]
