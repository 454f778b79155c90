"""The report's plots: training curves and the reliability diagram."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from mmdist.evaluation.svg import COLORS, inline_svg, settings

__all__ = ["curve_svg", "reliability_svg"]

_MOST_MARKED_EPOCHS = 40
_MOST_TITLED_EPOCHS = 300


def curve_svg(epochs: Sequence[dict[str, Any]], metric: str, chosen: int | None) -> str | None:
    """Training and validation curves of `loss` or `accuracy`; None where neither was recorded.

    Args:
        epochs: As `read_history` gives them.
        metric: `loss`, or a metric of the task.
        chosen: The epoch (from 1) to mark.
    """
    sides = [("train", "training", COLORS["second"]), ("val", "validation", COLORS["first"])]
    numbers = np.array([point["epoch"] for point in epochs])
    lines = {
        side: np.array([np.nan if point[f"{side}/{metric}"] is None else point[f"{side}/{metric}"] for point in epochs])
        for side, _, _ in sides
    }
    if not any(np.isfinite(line).any() for line in lines.values()):
        return None
    with settings():
        figure = Figure(figsize=(5.4, 3.3), layout="constrained")
        axes = figure.subplots()
        marker = "o" if len(numbers) <= _MOST_MARKED_EPOCHS else None
        for side, label, color in sides:
            if np.isfinite(lines[side]).any():
                axes.plot(numbers, lines[side], color=color, marker=marker, markersize=3.5, linewidth=1.8, label=label)
        if chosen is not None and chosen in numbers.tolist():
            axes.axvline(chosen, color=COLORS["muted"], linewidth=1.0, linestyle=(0, (3, 3)), zorder=1)
            _mark_chosen(axes, chosen, numbers)
        titles = _hover_columns(axes, numbers, lines)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=9))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.set_xlim(numbers.min() - 0.5, numbers.max() + 0.5)
        axes.legend(loc="best", handlelength=1.4)
        description = f"{metric} by epoch, training and validation, over {len(numbers)} epochs"
        return inline_svg(figure, name=f"curve-{metric}", description=description, titles=titles)


def reliability_svg(bins: Sequence[dict[str, Any]]) -> str:
    """Share of right answers against confidence, by bin, above a histogram of the confidences."""
    known = [bin_ for bin_ in bins if bin_["rows"]]
    total = sum(bin_["rows"] for bin_ in bins)
    width = bins[0]["to"] - bins[0]["from"]
    with settings():
        figure = Figure(figsize=(5.4, 4.9), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        titles = {}
        upper.plot([0, 1], [0, 1], color=COLORS["ink"], linewidth=1.0, linestyle=(0, (3, 3)), zorder=3)
        for number, bin_ in enumerate(known):
            middle = (bin_["from"] + bin_["to"]) / 2
            title = (
                f"confidence {bin_['from']:.2f} to {bin_['to']:.2f}: {bin_['rows']:,} rows, "
                f"right {bin_['accuracy']:.2f}, mean confidence {bin_['confidence']:.2f}"
            )
            bar = upper.bar(middle, bin_["accuracy"], width=width * 0.9, color=COLORS["first"], alpha=0.55)
            count = lower.bar(middle, bin_["rows"] / total, width=width * 0.9, color=COLORS["muted"], alpha=0.55)
            for side, artist in (("bar", bar), ("count", count)):
                artist[0].set_gid(f"{side}-{number}")
                titles[f"{side}-{number}"] = title
        upper.plot(
            [bin_["confidence"] for bin_ in known],
            [bin_["accuracy"] for bin_ in known],
            linestyle="none",
            marker="o",
            markersize=6,
            color=COLORS["second"],
            markeredgecolor=COLORS["surface"],
            zorder=4,
            clip_on=False,
        )
        upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that is right")
        lower.set(xlabel="confidence", ylabel="rows")
        lower.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        lower.yaxis.set_major_locator(MaxNLocator(nbins=3))
        description = f"reliability diagram: share of right answers by confidence, {len(known)} bins with rows"
        return inline_svg(figure, name="reliability", description=description, titles=titles)


def _mark_chosen(axes: Any, chosen: int, numbers: Any) -> None:
    is_right = chosen > (numbers.min() + numbers.max()) / 2
    axes.annotate(
        f"chosen: {chosen}",
        (chosen, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if is_right else 4, 3),
        textcoords="offset points",
        ha="right" if is_right else "left",
        va="bottom",
        fontsize=9.5,
        color=COLORS["muted"],
    )


def _hover_columns(axes: Any, numbers: Any, lines: dict[str, Any]) -> dict[str, str]:
    """An unseen column over each epoch that tells its numbers."""
    if len(numbers) > _MOST_TITLED_EPOCHS:
        return {}
    titles = {}
    for position, epoch in enumerate(numbers.tolist()):
        column = axes.axvspan(epoch - 0.5, epoch + 0.5, color=COLORS["ink"], alpha=0.0, linewidth=0, zorder=10)
        column.set_gid(f"epoch-{epoch}")
        values = [
            f"{name} {lines[side][position]:.4f}"
            for side, name in (("train", "training"), ("val", "validation"))
            if np.isfinite(lines[side][position])
        ]
        titles[f"epoch-{epoch}"] = f"epoch {epoch}: " + ", ".join(values)
    return titles
