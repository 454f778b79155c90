"""Events and live notes in words, for people. No I/O."""

import math
import time
from collections.abc import Mapping
from typing import Any, TypeGuard

from mmdist.runtime.failures import error_from_record
from mmdist.storage import Event

__all__ = ["attempt_lines", "clock", "duration", "epoch_line", "event_line", "live_line"]

PHASES = {
    "start-ray": "starting Ray",
    "import": "importing the dataset",
    "train": "training",
    "evaluate": "evaluating",
    "predict": "predicting",
    "validate": "validating",
    "learn-labels": "learning the labels",
    "learn-vocabulary": "learning the vocabulary",
    "learn-fields": "learning the fields of the records",
    "start": "starting the worker",
    "build": "building the model",
}
PLACES = {"epoch": "epochs", "batch": "batches", "rows": "total_rows", "parts": "total_parts"}
"""How far something is, and the fact that says how far it goes."""

WAITS = ("read", "prepare", "decode")
SHOWN_SHARE = 0.005
"""Least share of the time that is worth a word: what rounds to 0% is not."""


def clock(time_s: float | None) -> str:
    """A time as the local clock shows it."""
    return "-" if time_s is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_s))


def duration(seconds: float | None) -> str:
    """A duration as `h:mm:ss`, or `m:ss` below an hour."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def live_line(note: Mapping[str, Any]) -> str:
    """A live note as one line: phase, place, pace, input wait, loss, time to go."""
    parts = [PHASES.get(str(note.get("phase")), str(note.get("phase")))]
    for name, whole in PLACES.items():
        if _is_number(note.get(name)):
            parts.append(f"{name} {note[name]:,}" + (f"/{note[whole]:,}" if _is_number(note.get(whole)) else ""))
    for name, form in (
        ("rows_per_s", "{:,.0f} rows/s"),
        ("step_s", "step {:.3f} s"),
    ):
        if _is_number(note.get(name)):
            parts.append(form.format(note[name]))
    parts += _wait_words(note)
    if _is_number(note.get("loss")):
        parts.append(f"loss {note['loss']:.4f}")
    if _is_number(note.get("eta_s")):
        parts.append(f"ETA {duration(note['eta_s'])}")
    return "  ".join(parts)


def epoch_line(facts: Mapping[str, Any]) -> str:
    """An epoch's result as one line."""
    metrics = facts.get("metrics")
    numbers = metrics if isinstance(metrics, dict) else facts
    total = facts.get("epochs")
    parts = [f"epoch {facts.get('epoch')}" + (f"/{total}" if total else "")]
    parts += [
        f"{name} {numbers[name]:.4f}"
        for name in numbers
        if name.startswith(("train/", "val/")) and _is_number(numbers[name])
    ]
    if _is_number(numbers.get("rows_per_s")):
        parts.append(f"{numbers['rows_per_s']:,.0f} rows/s")
    parts += _wait_words(numbers)
    retries = facts.get("storage_retries")
    if isinstance(retries, Mapping):
        parts.append(f"storage retries {sum(retries.values()):,}")
    return "  ".join(parts)


def _wait_words(numbers: Mapping[str, Any]) -> list[str]:
    """How much of the time goes on input, in percent: the wait and what it is for, and the hand-over to devices."""
    words = []
    if _is_number(numbers.get("input_wait_share")):
        shares = {word: numbers.get(f"{word}_wait_share") for word in WAITS}
        kinds = [f"{word} {share * 100:.0f}" for word, share in shares.items() if _is_number(share, SHOWN_SHARE)]
        words.append(f"wait {numbers['input_wait_share']:.0%}" + (f" ({', '.join(kinds)})" if kinds else ""))
    if _is_number(handover := numbers.get("handover_share"), SHOWN_SHARE):
        words.append(f"hand-over {handover:.0%}")
    return words


def attempt_lines(attempt: Mapping[str, Any]) -> list[str]:
    """An attempt in lines: when and where, then what it cost and why it ended, where there is anything to tell."""
    until = duration(attempt["ended_s"] - attempt["started_s"]) if attempt["ended_s"] else "now"
    lines = [
        f"{attempt['state']}, from {clock(attempt['started_s'])} ({until}) on {attempt['host']}, "
        f"process {attempt['pid']}"
    ]
    costs = [
        f"{attempt[name]:,} {word}"
        for name, word in (("restarts", "times new workers"), ("hung", "hung"), ("lost_steps", "steps done again"))
        if attempt[name]
    ]
    if attempt["from_step"] is not None:
        costs.insert(0, f"from step {attempt['from_step']:,}")
    if costs:
        lines.append(", ".join(costs))
    if attempt["reason"]:
        lines.append(str(attempt["reason"]))
    return lines


def event_line(event: Event) -> str | None:
    """An event as one line; None for those that a user need not see."""
    facts = event.facts
    match event.kind:
        case "phase":
            return PHASES.get(str(facts["name"]), str(facts["name"]))
        case "imported":
            rows = ", ".join(f"{name} {count:,}" for name, count in facts.get("rows", {}).items() if count is not None)
            line = f"dataset {'was there already' if facts.get('skipped') else 'imported'}: {facts['output']} ({rows})"
            bad = facts.get("quarantined")
            return f"{line}; {bad:,} bad rows set aside in {facts['output']}/quarantine" if bad else line
        case "pretrained":
            return (
                f"the {facts.get('tower')} tower starts from {facts.get('weights')}, "
                f"SHA-256 {str(facts.get('sha256'))[:16]}..."
            )
        case "resumed":
            return (
                f"resumed from {facts.get('checkpoint')}, epoch {facts.get('epoch')}, batch {facts.get('next_batch')}"
            )
        case "epoch-finished":
            return epoch_line(facts)
        case "input-bound":
            return str(facts.get("advice"))
        case "stopped-early":
            return "stopped early: " + ", ".join(f"{name} {value}" for name, value in facts.items())
        case "worker-started" if facts.get("restart"):
            return f"worker {facts['rank']} started again (restart {facts['restart']})"
        case "placed" if facts.get("group"):
            return f"going on with {facts['workers']} worker{'' if facts['workers'] == 1 else 's'}"
        case "group-lost":
            lost = ", ".join(worker["words"] for worker in facts["lost"]) or "the group of workers"
            return (
                f"lost {lost}, and {facts['lost_steps']} steps of work: goes on from step {facts['checkpoint_step']} "
                f"(loss {facts['failure']}; {facts['max_failures']} are borne)"
            )
        case "diverged":
            then = {"skip": "its step is undone", "rollback": "back to the newest checkpoint, without it"}
            return (
                f"not a number in epoch {facts.get('epoch')}, batch {facts.get('batch')}: {facts.get('where')}; "
                f"{then.get(str(facts.get('then')))}"
            )
        case "worker-hung":
            return f"{facts.get('message')}; ended"
        case "failed":
            return f"worker failed: {error_from_record(dict(facts)).message}"
        case "finished":
            return str(facts.get("state"))
        case _:
            return None


def _is_number(value: Any, least: float = -math.inf) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= least
