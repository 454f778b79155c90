"""What `runs` and `status` tell of runs, as plain values for JSON and as text."""

import time
from collections import Counter
from typing import Any

from mmdist.runtime.failures import error_from_record
from mmdist.runtime.follow import live_note
from mmdist.runtime.rundir import read_run_state, run_id_of
from mmdist.runtime.state import RunState
from mmdist.runtime.wording import attempt_lines, clock, duration, epoch_line, live_line
from mmdist.storage import Store

__all__ = ["headline", "run_details", "run_row", "runs_table", "status_text"]

HEADLINES = ("accuracy", "test/accuracy", "val/accuracy", "rows")


def headline(state: RunState) -> tuple[str, float] | None:
    """The number that tells most of a run: its report's accuracy, else the last epoch's, else its rows."""
    last = state.epochs[-1] if state.epochs else {}
    metrics = last.get("metrics")
    for numbers in (state.metrics, metrics if isinstance(metrics, dict) else last):
        for name in HEADLINES:
            if isinstance(numbers.get(name), int | float):
                return name, numbers[name]
    return None


def run_row(run: Store) -> dict[str, Any]:
    """A run in one row."""
    state = read_run_state(run)
    best = headline(state)
    return {
        "run": run_id_of(run),
        "kind": state.kind,
        "name": state.name,
        "state": state.state,
        "started": state.started_s or state.submitted_s,
        "duration_s": _duration_s(state),
        "metric": best[0] if best else None,
        "value": best[1] if best else None,
    }


def runs_table(rows: list[dict[str, Any]]) -> str:
    """The rows as an aligned table."""
    head = ("RUN", "KIND", "STATE", "STARTED", "DURATION", "METRIC")
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def run_details(run: Store) -> dict[str, Any]:
    """All that the run directory says of a run's state."""
    state = read_run_state(run)
    return {
        **run_row(run),
        "url": run.url,
        "phase": state.phase,
        "exit_code": state.exit_code,
        "attempts": list(state.attempts),
        "epochs": list(state.epochs),
        "input_advice": state.epochs[-1].get("input_advice") if state.epochs else None,
        "storage_retries": _sum_retries(state),
        "split": state.split,
        "metrics": state.metrics,
        "checkpoint": state.checkpoint,
        "report": state.report,
        "output": state.output,
        "error": state.error,
        "live": live_note(run, state),
        "resume": resume_command(run, state),
    }


def resume_command(run: Store, state: RunState) -> str | None:
    """The command that goes on with a run; None where there is nothing to go on with, or no use in it."""
    return f"mmdist submit --resume {run.url}" if state.can_resume and not state.has_bad_rows else None


def status_text(details: dict[str, Any]) -> str:
    """The details as text for people."""
    state = details["state"]
    lines = [
        f"{details['run']}  {details['kind']}  {state}",
        f"  folder      {details['url']}",
        f"  started     {clock(details['started'])}  ({duration(details['duration_s'])})",
    ]
    if state == "running":
        note = details["live"]
        lines.append(f"  now         {live_line(note) if note else details['phase']}")
    lines += [f"  {epoch_line(epoch)}" for epoch in details["epochs"][-5:]]
    if details["input_advice"]:
        lines.append(f"  input       {details['input_advice'].removeprefix('input is ')}")
    if details["storage_retries"]:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in details["storage_retries"].items())
        lines.append(f"  storage     {sum(details['storage_retries'].values()):,} operations tried again ({kinds})")
    if details["metrics"]:
        numbers = (f"{name} {value:.4g}" for name, value in details["metrics"].items())
        lines.append(f"  {details['split'] or 'metrics':10}  " + "  ".join(numbers))
    attempts = details["attempts"]
    if len(attempts) > 1 or state == "interrupted" or any(attempt["restarts"] for attempt in attempts):
        for attempt in attempts:
            first, *more = attempt_lines(attempt)
            lines += [f"  attempt {attempt['attempt']}   {first}", *(f"              {line}" for line in more)]
    if details["checkpoint"]:
        lines.append(f"  checkpoint  {details['checkpoint']}")
    if details["report"]:
        lines.append(f"  report      {details['report']}")
    if details["output"]:
        lines.append(f"  output      {details['output']}")
    if details["error"] and state != "succeeded":
        lines.append("  error       " + str(error_from_record(details["error"])).replace("\n", "\n              "))
    if details["resume"]:
        lines.append(f"  resume      {details['resume']}")
    return "\n".join(lines)


def _sum_retries(state: RunState) -> dict[str, int]:
    """How often the chief worker tried operations of remote storage again, by kind, over the epochs."""
    total: Counter[str] = Counter()
    for epoch in state.epochs:
        total.update(epoch.get("storage_retries", {}))
    return dict(total)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    metric = f"{row['metric']} {row['value']:.4g}" if row["metric"] else "-"
    return (row["run"], row["kind"], row["state"], clock(row["started"]), duration(row["duration_s"]), metric)


def _duration_s(state: RunState) -> float | None:
    if state.started_s is None:
        return None
    return (state.ended_s or time.time()) - state.started_s
