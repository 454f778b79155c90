"""Gathers what a run recorded into one report, of types that JSON holds, its keys in a fixed order."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import yaml

from mmdist.errors import Place, UsageError
from mmdist.evaluation.history import best_epoch, read_history
from mmdist.evaluation.paths import EVALUATION, EVALUATION_VERSION
from mmdist.storage import Event, Store, read_events

__all__ = ["REPORT_VERSION", "build_report"]

REPORT_VERSION = 1
_METRIC_NAMES = {"cider": "CIDEr-D"}
_SPLIT_NAMES = {"test": "Test", "validation": "Validation"}
_LONGEST_LABEL = 40
_USER_IN_URL = re.compile(r"(?<=://)[^/\s@?#]+@")
_SECRET_IN_QUERY = re.compile(r"((?:access|secret|session|token|key|password|sig|credential)[\w-]*=)[^&\s\"']+", re.I)


def build_report(run: Store) -> dict[str, Any]:
    """The content of report.json; docs/reference/report.md describes it.

    Raises:
        UsageError: where the run has recorded neither an evaluation nor a curve.
    """
    text = _read_text(run, "job.yaml") or ""
    job = _parse_job(text)
    evaluation = _read_json(run, EVALUATION)
    history, unreadable = read_history(run)
    if evaluation is None and not history:
        raise UsageError(
            "the run has nothing to report on yet",
            expected="an evaluation, or at least one finished epoch",
            received="neither",
            place=Place(file=run.url),
            remedy="wait until the first epoch is finished, or name a run of kind train or evaluate",
        )
    if evaluation is not None and evaluation.get("version") != EVALUATION_VERSION:
        raise UsageError(
            "the evaluation was recorded by another version of mmdist",
            expected=f"version {EVALUATION_VERSION}",
            received=f"version {evaluation.get('version')}",
            place=Place(file=f"{run.url}/{EVALUATION}"),
            remedy="evaluate the run again with a job of kind evaluate",
        )
    events = read_events(run)
    metrics = evaluation["metrics"] if evaluation else None
    return {
        "version": REPORT_VERSION,
        "run_id": run.url.rstrip("/").rpartition("/")[2],
        "name": str(job.get("name", "")),
        "kind": str(job.get("kind", "")),
        "date": _date(events),
        "verdict": _verdict(evaluation),
        "evaluation": None
        if evaluation is None
        else {
            **{key: evaluation[key] for key in ("split", "seed", "confidence", "bootstrap_samples", "model")},
            "dataset": _redacted(evaluation["dataset"]),
            "rows": evaluation["rows"],
        },
        "metrics": metrics,
        "history": {"epochs": history, "chosen": _chosen_epoch(history, evaluation, job), "unreadable": unreadable},
        "datasets": _redacted(_facts_of(events, "datasets")),
        "ledger": _read_ledger(run),
        "run": _run_facts(events, job),
        "job": redact(text),
    }


def redact(text: str) -> str:
    """Text without the user, password and keys that its URLs may carry."""
    return _SECRET_IN_QUERY.sub(r"\1...", _USER_IN_URL.sub("...@", text))


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: _redacted(inner) for key, inner in value.items()}
    return value


def _verdict(evaluation: Mapping[str, Any] | None) -> str:
    if evaluation is None:
        return "Not evaluated yet."
    metrics = evaluation["metrics"]
    main = metrics.get("main", "accuracy")
    facts, baseline = metrics["headline"][main], metrics["baseline"]
    name = f"{_SPLIT_NAMES.get(evaluation['split'], 'Input')} {_METRIC_NAMES.get(main, main.replace('_', ' '))}"
    rows = f"{metrics['rows']:,} row{'s' if metrics['rows'] != 1 else ''}"
    if "classes" in metrics:
        rows += f", {metrics['classes']} classes"
    answer = baseline.get("answer") or f"always answering '{_shortened(baseline['label'])}'"
    plain = baseline.get("value", baseline.get("accuracy"))
    verdict = (
        f"{name} {facts['value']:.2f} [{facts['low']:.2f}, {facts['high']:.2f}] on {rows}; "
        f"{answer} would give {plain:.2f}"
    )
    gains = (facts["low"] - plain, facts["high"] - plain)
    if main.endswith("_error"):  # the smaller, the better
        gains = (-gains[1], -gains[0])
    if gains[0] > 0:
        return f"{verdict}."
    if gains[1] < 0:
        return f"{verdict}, which is better."
    return f"{verdict}, which this evaluation cannot tell apart."


def _shortened(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}\u2026"


def _chosen_epoch(
    history: list[dict[str, Any]], evaluation: Mapping[str, Any] | None, job: Mapping[str, Any]
) -> int | None:
    """The epoch (from 1) whose weights were evaluated; before that, the best one so far."""
    epoch = (evaluation or {}).get("model", {}).get("epoch")
    if history and isinstance(epoch, int):
        return epoch + 1
    keep_best = (job.get("train") or {}).get("checkpoint", {}).get("keep_best") or {}
    return best_epoch(history, keep_best.get("metric") or "val/loss", keep_best.get("mode") or "min")


def _read_ledger(run: Store) -> list[dict[str, Any]]:
    epochs = []
    for entry in run.list("ledger"):
        state = _read_json(run, entry.path)
        if entry.is_folder or state is None:
            continue
        epochs.append(
            {
                "epoch": int(state["epoch"]) + 1,
                "expected_rows": state["expected_rows"],
                "fed_rows": state["fed_rows"],
                "quarantined_rows": state["quarantined_rows"],
                "content": _content_state(state),
            }
        )
    return sorted(epochs, key=lambda record: record["epoch"])


def _content_state(state: Mapping[str, Any]) -> str:
    """`proved`: rows and content are those of the import. `counted`: there was no import to compare with.
    `differs`: they are not.
    """
    if state["fed_rows"] + state["quarantined_rows"] != state["expected_rows"]:
        return "differs"
    expected = state.get("expected_sums")
    if not expected:
        return "counted"
    seen = state["fed_sums"].keys() | state["quarantined_sums"].keys()
    for name in seen & expected.keys():
        total = int(state["fed_sums"].get(name, "0"), 16) + int(state["quarantined_sums"].get(name, "0"), 16)
        if total % (1 << 64) != int(expected[name], 16):
            return "differs"
    return "proved"


def _run_facts(events: list[Event], job: Mapping[str, Any]) -> dict[str, Any]:
    finished = [event for event in events if event.kind == "finished"]
    starts = [event for event in events if event.kind == "attempt-started"]
    return {
        "seed": job.get("seed"),
        "started": _time(events[0].time_s) if events else None,
        "attempts": [{"attempt": event.attempt, "started": _time(event.time_s)} for event in starts],
        "resumes": [
            {"attempt": event.attempt, "time": _time(event.time_s), **_redacted(event.facts)}
            for event in events
            if event.kind == "resumed"
        ],
        "state": finished[-1].facts.get("state") if finished else None,
        "devices": _facts_of(events, "devices"),
        "input_advice": _facts_of(events, "epoch-finished").get("input_advice"),
        "versions": starts[-1].facts.get("versions", {}) if starts else {},
    }


def _facts_of(events: list[Event], kind: str) -> dict[str, Any]:
    """The facts of the newest event of a kind; none where there is none."""
    found = [event.facts for event in events if event.kind == kind]
    return dict(found[-1]) if found else {}


def _date(events: list[Event]) -> str | None:
    starts = [event.time_s for event in events if event.kind == "attempt-started"]
    return _time(starts[-1]) if starts else None


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def _parse_job(text: str) -> dict[str, Any]:
    try:
        job = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return job if isinstance(job, dict) else {}


def _read_text(run: Store, path: str) -> str | None:
    try:
        return run.read_bytes(path).decode(errors="replace")
    except FileNotFoundError:
        return None


def _read_json(run: Store, path: str) -> dict[str, Any] | None:
    text = _read_text(run, path)
    if text is None:
        return None
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
