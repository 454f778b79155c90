"""Percentile bootstrap of every metric at once: rows become sums, and a resample is a weighting of rows.

Each metric is a function of sums over rows (right answers per class, losses, ...). A resample draws rows with
replacement; its sums are one product of a weight matrix and a sparse feature matrix, whatever the metric.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mmdist.evaluation.scores import RowScores

__all__ = ["Sums", "calibration_bin", "percentile_interval", "resample", "resampled_sums", "total_sums"]

TOP = 3
# Above this many rows, rows are joined at random into this many groups, which are resampled instead: the spread
# of a sum over independent rows stays the same, and the cost stops growing with the data.
_MAX_UNITS = 50_000
_WEIGHTS_PER_CHUNK = 4_000_000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """Sums over the rows of S resamples, with C classes and B calibration bins."""

    support: Floats
    """(S, C): rows of each class."""
    predicted: Floats
    """(S, C): rows that each class was predicted for."""
    hits: Floats
    """(S, C): rows of each class that were predicted right."""
    top: Floats
    """(S,): rows whose right label is among the three most probable."""
    log_loss: Floats
    """(S,)"""
    bin_gap: Floats
    """(S, B): right answers less confidence."""

    @property
    def rows(self) -> Floats:
        """(S,): rows in each resample."""
        total: Floats = self.support.sum(axis=1)
        return total


def calibration_bin(scores: RowScores, bins: int) -> npt.NDArray[np.int64]:
    """(N,): bin of equal width over [0, 1] that each row's confidence falls into."""
    return np.minimum((scores.confidence.astype(np.float64) * bins).astype(np.int64), bins - 1)


def total_sums(scores: RowScores, classes: int, bins: int) -> Sums:
    """The sums over the rows themselves: S is 1."""
    features = _features(scores, classes, bins)
    return _split(np.asarray(features.sum(axis=0)).reshape(1, -1), classes, bins)


def resampled_sums(scores: RowScores, classes: int, bins: int, *, samples: int, seed: int) -> Iterator[Sums]:
    """The sums of resamples, in chunks. Equal numbers of rows and equal seeds draw the same rows."""
    features = _features(scores, classes, bins)
    for sums in resample(features, samples=samples, seed=seed):
        yield _split(sums, classes, bins)


def resample(features: sparse.csr_matrix, *, samples: int, seed: int) -> Iterator[Floats]:
    """Sums of what rows add, in chunks of resamples.

    Args:
        features: (N, K): what each row adds to each sum.
        samples: S, of all chunks together.
        seed: Equal numbers of rows and equal seeds draw the same rows.

    Yields:
        (s, K): the sums of s resamples.
    """
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 0xB007])))
    if features.shape[0] > _MAX_UNITS:
        features = _join_rows(features, random)
    units = features.shape[0]
    chunk = max(1, _WEIGHTS_PER_CHUNK // units)
    for start in range(0, samples, chunk):
        size = min(chunk, samples - start)
        drawn = random.integers(0, units, size=(size, units), dtype=np.int32)
        cells = drawn + np.arange(size, dtype=np.int64)[:, None] * units
        weights = np.bincount(cells.reshape(-1), minlength=size * units).reshape(size, units)
        yield np.asarray((features.T @ weights.T.astype(np.float64)).T)


def percentile_interval(values: npt.NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """The interval that holds the middle `confidence` of the values; NaN are left out."""
    tail = (1.0 - confidence) / 2.0
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [tail, 1.0 - tail])
    return float(low), float(high)


def _features(scores: RowScores, classes: int, bins: int) -> sparse.csr_matrix:
    """(N, 3 C + 2 + B): what each row adds to each sum."""
    rows = np.arange(len(scores))
    correct = scores.correct
    in_top = scores.rank < TOP
    gap = correct.astype(np.float64) - scores.confidence
    first_other = 3 * classes
    columns = [
        (rows, scores.truth, np.ones(len(rows))),
        (rows, classes + scores.predicted, np.ones(len(rows))),
        (rows[correct], 2 * classes + scores.truth[correct], np.ones(int(correct.sum()))),
        (rows[in_top], np.full(int(in_top.sum()), first_other), np.ones(int(in_top.sum()))),
        (rows, np.full(len(rows), first_other + 1), scores.log_losses),
        (rows, first_other + 2 + calibration_bin(scores, bins), gap),
    ]
    where, column, value = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    return sparse.csr_matrix((value, (where, column)), shape=(len(rows), first_other + 2 + bins))


def _join_rows(features: sparse.csr_matrix, random: np.random.Generator) -> sparse.csr_matrix:
    rows = features.shape[0]
    group = random.permutation(rows) % _MAX_UNITS
    join = sparse.csr_matrix((np.ones(rows), (group, np.arange(rows))), shape=(_MAX_UNITS, rows))
    return join @ features


def _split(sums: Floats, classes: int, bins: int) -> Sums:
    first_other = 3 * classes
    return Sums(
        support=sums[:, :classes],
        predicted=sums[:, classes : 2 * classes],
        hits=sums[:, 2 * classes : first_other],
        top=sums[:, first_other],
        log_loss=sums[:, first_other + 1],
        bin_gap=sums[:, first_other + 2 : first_other + 2 + bins],
    )
