"""What was counted over many steps: the loss and the task's metrics, summed, and their means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmdist.training.step_sums import StepSums

__all__ = ["Totals"]


@dataclass
class Totals:
    """Sums over the rows that count, of an epoch so far."""

    loss_sum: float = 0.0
    rows: float = 0.0
    counts: tuple[float, ...] = ()
    """By metric of the task; empty before the first step."""

    def add(self, sums: StepSums) -> None:
        """Takes a step."""
        self.loss_sum += sums.loss_sum
        self.rows += sums.rows
        before = self.counts or (0.0,) * len(sums.counts)
        self.counts = tuple(old + new for old, new in zip(before, sums.counts, strict=True))

    def means(self, split: str, metrics: Sequence[str]) -> dict[str, float]:
        """`SPLIT/loss` and `SPLIT/METRIC` over the rows; 0 where there is none."""
        rows = max(self.rows, 1.0)
        counts = self.counts or (0.0,) * len(metrics)
        named = {f"{split}/{name}": count / rows for name, count in zip(metrics, counts, strict=True)}
        return {f"{split}/loss": self.loss_sum / rows, **named}

    def to_json(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"loss_sum": self.loss_sum, "rows": self.rows, "counts": list(self.counts)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Totals":
        """Of a checkpoint."""
        return cls(record["loss_sum"], record["rows"], tuple(record["counts"]))
