"""What must be the same in a run that was killed and resumed, and in one that was left alone."""

import json
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from mmdist.errors import MmdistError
from mmdist.evaluation.history import read_history
from mmdist.storage import Event, open_store, read_events
from mmdist.training.checkpoint import committed_checkpoints, read_checkpoint

EPOCH_METRICS = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")

Fed = list[tuple[int, int, tuple[int, ...]]]
"""By step: epoch, batch, and the rows that it trained on."""


def differences(expected: Path, received: Path) -> list[str]:
    """Everything in which a run differs from the one left alone; empty where nothing does."""
    found: list[str] = []
    for what, read in _READERS.items():
        try:
            one, other = read(expected), read(received)
        except (MmdistError, OSError, KeyError, IndexError, ValueError) as error:
            found.append(f"{what} cannot be read: {type(error).__name__}: {error}")
            continue
        if one != other:
            found.append(f"{what}: {_first_difference(one, other)}")
    return found


def rows_missed_or_repeated(run: Path, epochs: int, alone: Fed, fed: Fed | None) -> int:
    """Rows by which the epochs' ledgers, and what the steps were fed in truth, are off; 0 where both are exact."""
    wrong = 0
    for epoch in range(epochs):
        path = run / "ledger" / f"epoch-{epoch}.json"
        ledger = json.loads(path.read_text()) if path.exists() else {"expected_rows": 1, "fed_rows": 0}
        off = abs(ledger["expected_rows"] - ledger["fed_rows"] - ledger.get("quarantined_rows", 0))
        wrong += off
    if fed is not None:
        for one, other in zip_longest(alone, fed, fillvalue=(-1, -1, ())):
            wrong += len(set(one[2]) ^ set(other[2])) if one != other else 0
        for epoch in range(epochs):
            rows = [row for number, _, batch in fed if number == epoch for row in batch]
            wrong += len(rows) - len(set(rows))
    return wrong


def trained_on(run: Path, folder: Path) -> Fed:
    """The steps that the run's end stands on: each attempt goes on where it resumed, whatever was done beyond that."""
    resumed = {event.attempt: event.facts["step"] for event in _events(run) if event.kind == "resumed"}
    steps: Fed = []
    for path in sorted(folder.glob("fed-*"), key=lambda path: int(path.name.partition("-")[2])):
        attempt = int(path.name.partition("-")[2])
        lines = path.read_text().splitlines()
        if lines or attempt in resumed:
            del steps[resumed.get(attempt, 0) :]
        steps += [(epoch, batch, tuple(rows)) for epoch, batch, rows in map(json.loads, lines)]
    return steps


def lost_checkpoints(run: Path) -> list[str]:
    """Checkpoints that a process was told are saved, and that the next one did not go on from, or beyond."""
    found: list[str] = []
    told: list[Event] = []
    units: dict[tuple[int, str], list[Event]] = {}
    for event in _events(run):
        if event.writer.startswith("worker-0."):
            units.setdefault((event.attempt, event.writer), []).append(event)
    for (attempt, writer), events in units.items():
        before = max((event.facts["step"] for event in told), default=0)
        began = next((event.facts["step"] for event in events if event.kind == "resumed"), 0)
        works = any(event.kind in ("resumed", "checkpoint-saved", "epoch-finished", "model-saved") for event in events)
        if works and began < before:
            found.append(f"attempt {attempt}, {writer}, began at step {began}, and step {before} was saved")
        told += [event for event in events if event.kind == "checkpoint-saved"]
    return found


def unkept_checkpoint(run: Path) -> str | None:
    """What is wrong where, after a kill, nothing that verifies is as new as what was told as saved; else None."""
    told = max((event.facts["step"] for event in _events(run) if event.kind == "checkpoint-saved"), default=0)
    store = open_store(str(run))
    newest = 0
    for folder in reversed(committed_checkpoints(store)):
        try:
            newest = int(read_checkpoint(store, folder).state["step"])
            break
        except MmdistError:
            continue
    return f"step {told} was saved, the newest that verifies is of step {newest}" if newest < told else None


def _events(run: Path) -> list[Event]:
    return read_events(open_store(str(run)))


def _last(run: Path) -> Any:
    store = open_store(str(run))
    return read_checkpoint(store, committed_checkpoints(store)[-1])


def _arrays(run: Path) -> list[tuple[str, tuple[int, ...], bytes]]:
    """Weights, optimizer slots and the state of the random generators, by index."""
    return [(str(array.dtype), array.shape, array.tobytes()) for array in _last(run).arrays]


def _state(run: Path) -> dict[str, Any]:
    """Cursor, totals, ledger, metric history, best value, early stopping, identity."""
    state: dict[str, Any] = dict(_last(run).state)
    # A folder's name has the attempt in it that wrote it.
    state["best"] = [{**best, "folder": best["folder"].partition("-")[0]} for best in state["best"]]
    return state


def _model(run: Path) -> dict[str, Any]:
    payload = {path.name: path.read_bytes() for path in (run / "model").iterdir()}
    card = {**json.loads(payload["model.json"]), "run_id": None}
    return {"model.json": card, **{name: payload[name] for name in ("weights.safetensors", "tokenizer.json")}}


def _evaluation(run: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((run / "report" / "evaluation.json").read_text())
    return {**record, "model": {**record["model"], "run_id": None}}


def _table(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def _curves(run: Path) -> dict[str, float]:
    """Each epoch's metrics, as the report reads them: a file that a kill has torn is left out."""
    epochs, _ = read_history(open_store(str(run)))
    return {f"{name} of epoch {each['epoch']}": each[name] for each in epochs for name in EPOCH_METRICS}


def _epoch_events(run: Path) -> dict[str, Any]:
    facts = [event.facts for event in _events(run) if event.kind == "epoch-finished"]
    return {
        f"epoch {fact['epoch']}": (
            fact["step"],
            fact["ledger"],
            {name: fact["metrics"][name] for name in EPOCH_METRICS},
        )
        for fact in sorted(facts, key=lambda fact: fact["epoch"])
    }


def _quarantine(run: Path) -> list[tuple[Any, ...]]:
    paths = sorted((run / "quarantine").glob("*-train-*.parquet"))
    rows = [tuple(row.values()) for path in paths for row in _table(path)]
    return sorted(set(rows))


_READERS: dict[str, Callable[[Path], Any]] = {
    "weights, optimizer slots and random state": _arrays,
    "training state": _state,
    "the ledgers": lambda run: {path.name: path.read_bytes() for path in sorted((run / "ledger").glob("epoch-*"))},
    "the model": _model,
    "the report's predictions": lambda run: _table(run / "report" / "predictions.parquet"),
    "the report's mistakes": lambda run: _table(run / "report" / "mistakes.parquet"),
    "the evaluation": _evaluation,
    "the curves": _curves,
    "the events of epochs": _epoch_events,
    "the quarantine": _quarantine,
    "the report": lambda run: (run / "report" / "report.html").stat().st_size > 1000,
}


def _first_difference(one: Any, other: Any) -> str:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
        return f"{keys[0]}: {_first_difference(one.get(keys[0]), other.get(keys[0]))}"
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        number = next(number for number, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1])
        count = sum(pair[0] != pair[1] for pair in zip(one, other, strict=True))
        return f"{count} of {len(one)}, first number {number}: {_first_difference(one[number], other[number])}"
    if isinstance(one, tuple) and isinstance(other, tuple) and isinstance(one[-1], bytes) and one[:-1] == other[:-1]:
        values = [np.frombuffer(item[-1], item[0]) for item in (one, other)]
        return f"{np.count_nonzero(values[0] != values[1])} of {len(values[0])} values differ"
    return f"expected {str(one)[:120]}, received {str(other)[:120]}"
