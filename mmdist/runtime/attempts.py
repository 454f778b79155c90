"""What became of each attempt at a run: when, where, how it ended and why, and the work that was lost. No I/O."""

from collections.abc import Sequence
from typing import Any

from mmdist.storage import DRIVER, Event

__all__ = ["attempt_records"]


def attempt_records(events: Sequence[Event], *, running: int | None) -> tuple[dict[str, Any], ...]:
    """One record for each attempt, in their order.

    Args:
        events: Of attempts that count, in the order of `read_events`.
        running: The attempt that is at work.

    Returns:
        Of each: `attempt`, `state` (also `running` and `cut off`), `started_s`, `ended_s` (of one that was cut off,
        its last event), `host`, `pid`, `exit_code`, `reason` (why it did not succeed), `restarts` (groups of workers
        after the first one), `hung` (workers that were ended for it), `from_step` (of the checkpoint that it began
        with) and `lost_steps` (done, and done again later since no checkpoint had them).
    """
    found: dict[int, dict[str, Any]] = {}
    for event in events:
        record = found.setdefault(event.attempt, _empty(event, is_running=event.attempt == running))
        record["last_s"] = max(event.time_s, record["last_s"])
        if record["state"] == "cut off":
            record["ended_s"] = record["last_s"]
        _take(record, event)
    for event in events:
        lost = event.facts.get("of_attempt")
        if event.kind == "work-lost" and lost in found:
            found[lost]["lost_steps"] += int(event.facts.get("steps", 0))
    return tuple(found[attempt] for attempt in sorted(found))


def _empty(event: Event, *, is_running: bool) -> dict[str, Any]:
    return {
        "attempt": event.attempt,
        "state": "running" if is_running else "cut off",
        "started_s": event.time_s,
        "ended_s": None,
        "last_s": event.time_s,
        "host": None,
        "pid": None,
        "exit_code": None,
        "reason": None,
        "restarts": 0,
        "hung": 0,
        "from_step": None,
        "lost_steps": 0,
    }


def _take(record: dict[str, Any], event: Event) -> None:
    facts = event.facts
    match event.kind:
        case "attempt-started":
            record.update(started_s=event.time_s, host=facts.get("host"), pid=facts.get("pid"))
        case "worker-started":
            record["restarts"] = max(record["restarts"], int(facts.get("restart") or 0))
        case "group-lost":
            record["lost_steps"] += int(facts.get("lost_steps") or 0)
        case "worker-hung":
            record["hung"] += 1
            record["reason"] = facts.get("message")
        case "failed":
            record["reason"] = facts.get("message")
        case "resumed" if record["from_step"] is None:
            record["from_step"] = facts.get("step")
        case "finished" if event.writer == DRIVER:
            failure = facts.get("failure")
            reason = failure.get("message") if isinstance(failure, dict) else record["reason"]
            state = facts.get("state", "failed")
            record.update(
                state=state,
                ended_s=event.time_s,
                exit_code=facts.get("exit_code"),
                reason=None if state == "succeeded" else reason,
            )
