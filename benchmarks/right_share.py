"""Shares of right rows with their intervals, for benchmarks that compare models on the same rows.

Rows are drawn again, trainings are not: an interval tells what other rows of the same kind could have shown of these
very trainings.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

SAMPLES = 10_000
CONFIDENCE = 0.95

# S trainings of one job, which differ by their seeds, N rows that all of them answer

Rights = npt.NDArray[np.bool_]
"""Whether a training answers a row rightly."""


class Interval(NamedTuple):
    """A mean, and the percentile bootstrap interval of it."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.3f} to {self.high:.3f}"


def share(right: Rights) -> Interval:
    """Of rights (S, N), the share of right rows, the mean over the trainings."""
    return _resampled(right.mean(axis=0))


def difference(right: Rights, other: Rights) -> Interval:
    """Of rights (S, N) and (S', N), the first share less the other; the same rows are drawn for both."""
    return _resampled(right.mean(axis=0) - other.mean(axis=0))


def mcnemar(right: Rights, other: Rights) -> tuple[int, int, float]:
    """Of rights (N,): rows that the first alone has right, the other alone, and the exact two-sided p-value."""
    first, second = int((right & ~other).sum()), int((other & ~right).sum())
    return first, second, float(stats.binomtest(first, first + second).pvalue) if first + second else 1.0


def _resampled(values: npt.NDArray[np.float64]) -> Interval:
    rows = len(values)
    drawn = np.random.default_rng(0).integers(0, rows, size=(SAMPLES, rows))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values[drawn].mean(axis=1), [tail, 1 - tail])
    return Interval(float(values.mean()), float(low), float(high))
