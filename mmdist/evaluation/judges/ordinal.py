"""Judges answers among labels that have an order: also by how far they are off."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mmdist.evaluation.judges.base import headline_of
from mmdist.evaluation.judges.classification import ClassificationJudge

__all__ = ["OrdinalJudge"]

Floats = npt.NDArray[np.float64]


class OrdinalJudge(ClassificationJudge):
    """As a classification, and further `mean_rank_error` and `quadratic_weighted_kappa` (doi:10.1037/h0026256)."""

    def metrics(self, seed: int) -> dict[str, Any]:
        """See `Judge`."""
        found = super().metrics(seed)
        scores, classes = self.scores, len(self.labels)
        cells = scores.truth.astype(np.int64) * classes + scores.predicted
        features = sparse.csr_matrix(
            (np.ones(len(scores)), (np.arange(len(scores)), cells)), shape=(len(scores), classes**2)
        )
        headline, _ = headline_of(
            features,
            {
                "mean_rank_error": lambda counts: _rank_error(counts, classes),
                "quadratic_weighted_kappa": lambda counts: _kappa(counts, classes),
            },
            self.spec,
            seed,
        )
        found["headline"] |= headline
        return {**found, "task": "ordinal"}


def _distances(classes: int) -> Floats:
    ranks = np.arange(classes, dtype=np.float64)
    return np.abs(ranks[:, None] - ranks[None, :])


def _rank_error(counts: Floats, classes: int) -> Floats:
    """(S, C * C) rows by truth and answer: (S,)."""
    off: Floats = counts @ _distances(classes).reshape(-1) / counts.sum(axis=1)
    return off


def _kappa(counts: Floats, classes: int) -> Floats:
    """(S, C * C) rows by truth and answer: (S,); NaN where chance cannot be wrong."""
    tables = counts.reshape(-1, classes, classes)
    weights = np.square(_distances(classes))
    chance = tables.sum(axis=2)[:, :, None] * tables.sum(axis=1)[:, None, :] / tables.sum(axis=(1, 2))[:, None, None]
    observed, expected = ((part * weights).sum(axis=(1, 2)) for part in (tables, chance))
    kappa: Floats = 1.0 - np.divide(observed, expected, out=np.full(len(counts), np.nan), where=expected > 0)
    return kappa
