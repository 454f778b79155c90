"""Judges answers that are numbers."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

from mmdist.errors import TrainingFailedError
from mmdist.evaluation.judges.base import Judge, JudgedRows, headline_of
from mmdist.evaluation.metrics import with_interval
from mmdist.evaluation.mistakes import Answer
from mmdist.evaluation.row_texts import TEXT_CHARACTERS
from mmdist.spec.evaluation import EvaluationSpec

__all__ = ["RegressionJudge"]

_COLUMNS: dict[str, pa.DataType] = {
    "row": pa.int64(),
    "id": pa.string(),
    "label": pa.float32(),
    "predicted": pa.float32(),
    "text": pa.string(),
}

Floats = npt.NDArray[np.float64]


class RegressionJudge(Judge):
    """Keeps 16 bytes a row, and 8 for each modality that is withheld.

    Args:
        spec: Level, resamples and mistakes.
    """

    def __init__(self, spec: EvaluationSpec) -> None:
        super().__init__(spec)
        self._truth: list[Floats] = []
        self._predicted: list[Floats] = []
        self._withheld: dict[str, list[Floats]] = {}

    @property
    def schema(self) -> pa.Schema:
        """See `Judge`."""
        return pa.schema(_COLUMNS)

    def take(self, rows: JudgedRows, answers: Mapping[str, npt.NDArray[Any]]) -> pa.Table:
        """See `Judge`. `answers` has `value`, float32 (N,)."""
        truth, predicted = rows.label.astype(np.float64), _finite(rows, answers)
        self._truth.append(truth)
        self._predicted.append(predicted)
        errors = np.abs(predicted - truth)
        for position in self.mistakes.worst(errors):
            answer = Answer(label=f"{truth[position]:.4g}", predicted=f"{predicted[position]:.4g}")
            place = int(rows.places[position])
            if not self.mistakes.offer(rows.batch, place, rows.texts[position], float(errors[position]), answer):
                break
        columns: list[pa.Array[Any]] = [
            *rows.common,
            pa.array(truth, pa.float32()),
            pa.array(predicted, pa.float32()),
            pa.array([None if text is None else text[:TEXT_CHARACTERS] for text in rows.texts], pa.string()),
        ]
        return pa.Table.from_arrays(columns, schema=self.schema)

    def take_withheld(self, modality: str, rows: JudgedRows, answers: Mapping[str, npt.NDArray[Any]]) -> None:
        """See `Judge`."""
        self._withheld.setdefault(modality, []).append(_finite(rows, answers))

    def metrics(self, seed: int) -> dict[str, Any]:
        """See `Judge`."""
        truth, predicted = np.concatenate(self._truth), np.concatenate(self._predicted)
        headline, samples = self._headline(truth, predicted, seed)
        name = "mean_absolute_error"
        ablation = []
        for modality, parts in self._withheld.items():
            other, others = self._headline(truth, np.concatenate(parts), seed)
            apart = other[name]["value"] - headline[name]["value"]
            difference = with_interval(apart, others[name] - samples[name], self.spec)
            ablation.append({"withheld": modality, "headline": other, "difference": difference})
        middle = float(np.median(truth))
        return {
            "task": "regression",
            "main": name,
            "rows": len(truth),
            "headline": headline,
            "baseline": {
                "answer": f"always answering the median, {middle:.4g}",
                "value": float(np.abs(truth - middle).mean()),
            },
            "ablation": ablation,
        }

    def _headline(self, truth: Floats, predicted: Floats, seed: int) -> tuple[dict[str, Any], dict[str, Floats]]:
        errors = predicted - truth
        # About the mean: squares of large numbers would take the digits of their differences.
        centred = truth - truth.mean()
        features = sparse.csr_matrix(
            np.stack([np.ones(len(truth)), np.abs(errors), np.square(errors), centred, np.square(centred)], axis=1)
        )
        return headline_of(features, _STATISTICS, self.spec, seed)


def _finite(rows: JudgedRows, answers: Mapping[str, npt.NDArray[Any]]) -> Floats:
    values = np.asarray(answers["value"], np.float64)
    if values.shape != rows.label.shape or not np.isfinite(values).all():
        raise TrainingFailedError(
            "the model's answers are not finite numbers, or not one per row",
            expected=f"finite numbers of shape {rows.label.shape}",
            received=f"shape {values.shape}, {int((~np.isfinite(values)).sum())} not finite",
            remedy="training has diverged: lower train.optimizer.learning_rate, or evaluate an earlier checkpoint",
        )
    return values


def _mean_absolute_error(sums: Floats) -> Floats:
    return sums[:, 1] / sums[:, 0]


def _root_mean_squared_error(sums: Floats) -> Floats:
    root: Floats = np.sqrt(sums[:, 2] / sums[:, 0])
    return root


def _r_squared(sums: Floats) -> Floats:
    """NaN where all truths are the same."""
    spread = sums[:, 4] - np.square(sums[:, 3]) / sums[:, 0]
    share: Floats = np.divide(sums[:, 2], spread, out=np.full(len(sums), np.nan), where=spread > 0)
    return 1.0 - share


_STATISTICS: Mapping[str, Callable[[Floats], Floats]] = {
    "mean_absolute_error": _mean_absolute_error,
    "root_mean_squared_error": _root_mean_squared_error,
    "r_squared": _r_squared,
}
