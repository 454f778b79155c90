"""The curves of a training: one value per metric and epoch, from the metrics that the run recorded."""

import math
import re
from typing import Any

import pyarrow as pa

from mmdist.data.schema_guard import open_parquet
from mmdist.errors import DataRefusedError
from mmdist.storage import Store

__all__ = ["best_epoch", "read_history"]

_FOLDER = "metrics"
_NAME = re.compile(r"^(train|val)/")
_ALWAYS = ("train/loss", "val/loss")


def read_history(run: Store) -> tuple[list[dict[str, Any]], list[str]]:
    """The curves, and the files that could not be read.

    Returns:
        By epoch, `epoch` (from 1), `train/loss`, `val/loss` and whatever else was counted of the two splits: the
        value of the epoch's last step, None where there is none. Where an attempt repeated a step of another, the
        later one counts.
    """
    values: dict[tuple[str, int], dict[int, float]] = {}
    unreadable = []
    for entry in run.list(_FOLDER):
        if entry.is_folder or not entry.path.endswith(".parquet"):
            continue
        try:
            with open_parquet(run, entry.path) as file:
                records = file.read(["step", "epoch", "name", "value"]).to_pylist()
        except (OSError, ValueError, pa.ArrowException, DataRefusedError):
            unreadable.append(entry.path)
            continue
        for record in records:
            if _NAME.match(record["name"]):
                values.setdefault((record["name"], record["epoch"]), {})[record["step"]] = record["value"]
    epochs = sorted({epoch for _, epoch in values})
    names = dict.fromkeys((*_ALWAYS, *sorted({name for name, _ in values})))
    history = [
        {"epoch": epoch + 1, **{name: _last_value(values.get((name, epoch), {})) for name in names}} for epoch in epochs
    ]
    return history, unreadable


def best_epoch(history: list[dict[str, Any]], metric: str, mode: str) -> int | None:
    """The epoch (from 1) with the best value of a metric; of several, the first. None where it was never recorded."""
    known = [point for point in history if point.get(metric) is not None]
    if not known:
        return None
    sign = -1.0 if mode == "max" else 1.0
    return int(min(known, key=lambda point: (sign * point[metric], point["epoch"]))["epoch"])


def _last_value(by_step: dict[int, float]) -> float | None:
    known = [value for _, value in sorted(by_step.items()) if value is not None and math.isfinite(value)]
    return known[-1] if known else None
