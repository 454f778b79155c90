"""Judges what the parity process wrote down: do several replicas train as one device does? No TensorFlow."""

import json
import math
from pathlib import Path
from typing import Any

from mmdist.runtime.verifying.proof import Check

__all__ = ["judge_replicas", "most_borne"]

UPDATE_TOLERANCE = 0.05
CLOSE = 0.02
SHAKEN_SAFETY = 4.0
MOST_BORNE = 0.05
"""Of the size of a gradient. What is wrong with replicas changes gradients by a large part of their size."""


def most_borne(tolerance: float, shaken: float) -> float:
    """How far gradients may be apart, relative.

    Args:
        tolerance: What sums in another order may differ by.
        shaken: What one rounding of every weight does to a gradient.
    """
    return max(tolerance, min(SHAKEN_SAFETY * shaken, MOST_BORNE))


def judge_replicas(recording: Path, *, steps: int, rows: int) -> Check:
    """The first check.

    Args:
        recording: What `compare_replicas` wrote.
        steps: Steps of an epoch of the sample.
        rows: Its rows.
    """
    lines = [json.loads(line) for line in recording.read_text(encoding="utf-8").splitlines()]
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        by_kind.setdefault(line.pop("kind"), []).append(line)
    [opening] = by_kind.get("parity") or [{"replicas": 0, "tolerance": 0.0, "kind_of_device": "cpu"}]
    count, tolerance = opening["replicas"], opening["tolerance"]
    device = "GPUs" if opening["kind_of_device"] == "gpu" else "logical CPU devices"
    check = Check(
        "replicas",
        f"{count} replicas train as 1 does ({count} {device}): rows, loss, gradients, and alike copies",
        f"rows and copies exact; loss and gradients within {tolerance:.1e} relative, 4 sqrt(n) 2^-24 for the n "
        f"places that a gradient is summed over, or gradients within {SHAKEN_SAFETY:.0f} times what one rounding of "
        f"every weight does to them, at most {MOST_BORNE:.0%}; one update within {UPDATE_TOLERANCE:.0%} of its size "
        "(Adam divides by the gradient's size, and so magnifies the smallest)",
    )
    pairs = by_kind.get("pair", [])
    _judge_counts(check, pairs, count, steps, rows)
    if pairs:
        _judge_steps(check, pairs, count, tolerance)
    _judge_validation(check, by_kind.get("validation", []), tolerance)
    controls = by_kind.get("controls", [])
    check.add_controls(controls[0] if controls else {})
    check.add_controls(_own_controls(pairs, count, tolerance))
    return check


def _judge_counts(check: Check, pairs: list[dict[str, Any]], count: int, steps: int, rows: int) -> None:
    seen = sum(pair["rows"] for pair in pairs)
    check.facts |= {"replicas": count, "steps": len(pairs), "rows": seen}
    if count < 2:
        check.fail(f"there were {count} replicas: one alone proves nothing")
    if not pairs or not seen:
        check.fail("no step was compared")
    elif (len(pairs), seen) != (steps, rows):
        check.fail(f"{len(pairs)} steps with {seen} rows were compared, not the {steps} steps with {rows} of an epoch")
    if pairs and not any(pair["gradient_norm"] > 0 for pair in pairs):
        check.fail("every gradient is zero: nothing was learned, so nothing was compared")


def _judge_steps(check: Check, pairs: list[dict[str, Any]], count: int, tolerance: float) -> None:
    shaken = max(pair["shaken"] for pair in pairs)
    borne = most_borne(tolerance, shaken)
    for number, pair in enumerate(pairs, 1):
        for cause in causes_of(pair, count, tolerance, borne):
            check.fail(f"step {number}: {cause}")
        if check.causes:
            break
    worst = [(distance, name) for pair in pairs for name, distance in pair["gradients"].items()]
    gradient, name = max(worst, default=(math.nan, ""))
    loss = max(pair["loss"] for pair in pairs)
    update = max(pair["update"] for pair in pairs)
    check.facts |= {"tolerance": tolerance, "loss": loss, "gradients": gradient, "gradients_worst": name}
    check.facts |= {"update": update, "weights": len(pairs[0]["gradients"]), "shaken": shaken, "borne": borne}
    check.found.append(
        f"{len(pairs)} steps, each from the same bits, {check.facts['rows']} rows: loss within {loss:.1e}, gradients "
        f"of {len(pairs[0]['gradients'])} weights within {gradient:.1e} (worst: {name}), updates within {update:.1e}"
    )
    if tolerance < gradient <= borne:
        check.found.append(
            f"gradients differ by more than sums do, and no more than this model makes of a rounding: on 1 replica, "
            f"every weight moved to the next float32 changes a gradient by {shaken:.1e}; up to {borne:.1e} is borne"
        )
    if not check.causes:
        check.found.append("after each step, all variables and gradients alike on all replicas, bit for bit")


def causes_of(pair: dict[str, Any], count: int, tolerance: float, borne: float | None = None) -> list[str]:
    """What speaks against one step; empty where all is well. Gradients have `borne` as their tolerance, if given."""
    causes = []
    if pair["unlike"]:
        causes.append(
            f"the replicas are not synchronised: {len(pair['unlike'])} variables differ between them after a step, "
            f"first {pair['unlike'][0]}"
        )
    if len(set(pair["counted"])) != 1 or pair["counted"][0] != pair["usable"]:
        causes.append(
            f"rows: 1 replica counted {pair['counted'][0]:.0f}, {count} counted {pair['counted'][1]:.0f}, "
            f"the batch has {pair['usable']}"
        )
    if not pair["loss"] <= tolerance:
        causes.append(f"the loss is off by {pair['loss']:.1e} relative")
    off = {name: distance for name, distance in pair["gradients"].items() if not distance <= (borne or tolerance)}
    if off:
        worst = max(off, key=lambda name: off[name])
        ratio = pair["ratio"]
        meaning = ""
        if abs(ratio - count) < CLOSE * count:
            meaning = f": together they are {ratio:.2f} times too large, as if summed twice"
        elif abs(ratio - 1 / count) < CLOSE:
            meaning = f": together they are {ratio:.2f} of what they should be, as if averaged or not summed at all"
        causes.append(f"gradients of {len(off)} weights differ, {worst} by {off[worst]:.1e} relative{meaning}")
    if not pair["update"] <= UPDATE_TOLERANCE:
        causes.append(f"the weights moved otherwise: the updates differ by {pair['update']:.1e} of their size")
    return causes


def _judge_validation(check: Check, batches: list[dict[str, Any]], tolerance: float) -> None:
    rows = sum(batch["usable"] for batch in batches)
    if not rows:
        check.fail("no validation row was compared")
    for batch in batches:
        if len(set(batch["counted"])) != 1 or batch["counted"][0] != batch["usable"] or not batch["loss"] <= tolerance:
            check.fail(f"validation: the loss is off by {batch['loss']:.1e}, rows counted: {batch['counted']}")
    check.facts["validation_rows"] = rows


def _own_controls(pairs: list[dict[str, Any]], count: int, tolerance: float) -> dict[str, bool]:
    """A good step of this very run, spoilt."""
    if not pairs:
        return {}
    borne = most_borne(tolerance, max(pair["shaken"] for pair in pairs))
    pair = {**pairs[0], "unlike": [], "loss": 0.0, "gradients": {"w": 0.0}, "ratio": 1.0, "update": 0.0}
    pair["counted"] = [pair["usable"], pair["usable"]]
    spoilt: dict[str, dict[str, Any]] = {
        "a row counted twice": {"counted": [pair["usable"], pair["usable"] + 1]},
        "a loss that is no number": {"loss": math.nan},
        "gradients twice as far apart as is borne": {"gradients": {"w": 2 * borne}},
    }
    is_fair = not causes_of(pair, count, tolerance, borne)
    return {
        name: is_fair and bool(causes_of({**pair, **fault}, count, tolerance, borne)) for name, fault in spoilt.items()
    }
