"""What is kept of each evaluated row: a few numbers, so that memory holds many rows and any number of classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmdist.errors import TrainingFailedError

__all__ = ["RowScores", "score_rows"]

_SMALLEST_PROBABILITY = 1e-7


@dataclass(frozen=True)
class RowScores:
    """N evaluated rows, 20 bytes each."""

    truth: npt.NDArray[np.int32]
    """(N,): index of the right label."""
    predicted: npt.NDArray[np.int32]
    """(N,): index of the most probable label; of several, the first."""
    confidence: npt.NDArray[np.float32]
    """(N,): probability of the predicted label."""
    truth_probability: npt.NDArray[np.float32]
    """(N,): probability of the right label."""
    rank: npt.NDArray[np.int32]
    """(N,): labels that stand before the right one, by probability and then by order; 0 where it is predicted."""

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """(N,): whether the predicted label is the right one."""
        result: npt.NDArray[np.bool_] = self.truth == self.predicted
        return result

    @property
    def log_losses(self) -> npt.NDArray[np.float64]:
        """(N,): -ln of the right label's probability, taken as at least 1e-7."""
        return -np.log(np.maximum(self.truth_probability.astype(np.float64), _SMALLEST_PROBABILITY))

    @staticmethod
    def concatenate(parts: Sequence["RowScores"]) -> "RowScores":
        """The rows of all parts, in order."""
        names = RowScores.__dataclass_fields__
        return RowScores(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def score_rows(truth: npt.NDArray[np.integer], probabilities: npt.NDArray[np.floating]) -> RowScores:
    """Scores rows.

    Args:
        truth: (N,) integer, in [0, C).
        probabilities: (N, C) floating.

    Raises:
        TrainingFailedError: where a probability is not a finite number, or the shapes disagree.
    """
    if probabilities.ndim != 2 or len(probabilities) != len(truth):
        raise TrainingFailedError(
            "the model's output does not fit the rows that it was given",
            expected=f"probabilities of shape ({len(truth)}, classes)",
            received=f"shape {probabilities.shape}",
        )
    finite = np.isfinite(probabilities).all(axis=1)
    if not finite.all():
        raise TrainingFailedError(
            "the model's probabilities are not finite numbers",
            expected="numbers in [0, 1]",
            received=f"{int((~finite).sum())} of {len(truth)} rows with NaN or infinity",
            remedy="training has diverged: lower train.optimizer.learning_rate, or evaluate an earlier checkpoint",
        )
    rows = np.arange(len(truth))
    predicted = probabilities.argmax(axis=1)
    truth_probability = probabilities[rows, truth]
    above = probabilities > truth_probability[:, None]
    # Equal probabilities are ordered by label, as argmax orders them, so that rank 0 means predicted.
    tied_before = (probabilities == truth_probability[:, None]) & (
        np.arange(probabilities.shape[1])[None, :] < truth[:, None]
    )
    return RowScores(
        truth=truth.astype(np.int32),
        predicted=predicted.astype(np.int32),
        confidence=probabilities[rows, predicted].astype(np.float32),
        truth_probability=truth_probability.astype(np.float32),
        rank=(above | tied_before).sum(axis=1).astype(np.int32),
    )
