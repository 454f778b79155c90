"""Judges answers that give each label a probability, of which one is right."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmdist.evaluation.judges.base import Judge, JudgedRows
from mmdist.evaluation.metrics import scored_metrics
from mmdist.evaluation.mistakes import Answer
from mmdist.evaluation.row_texts import TEXT_CHARACTERS
from mmdist.evaluation.scores import RowScores, score_rows
from mmdist.spec.evaluation import EvaluationSpec

__all__ = ["ClassificationJudge", "probability_lists"]

_COLUMNS: dict[str, pa.DataType] = {
    "row": pa.int64(),
    "id": pa.string(),
    "label": pa.string(),
    "predicted": pa.string(),
    "confidence": pa.float32(),
    "probabilities": pa.list_(pa.float32()),
    "text": pa.string(),
}


class ClassificationJudge(Judge):
    """Keeps 20 bytes a row and modality.

    Args:
        labels: C names, in the order of the probabilities.
        spec: Level, resamples, bins and mistakes.
    """

    def __init__(self, labels: Sequence[str], spec: EvaluationSpec) -> None:
        super().__init__(spec)
        self.labels = tuple(labels)
        self._parts: list[RowScores] = []
        self._withheld: dict[str, list[RowScores]] = {}

    @property
    def schema(self) -> pa.Schema:
        """See `Judge`. The labels, in the order of `probabilities`, are in the metadata."""
        return pa.schema(_COLUMNS, metadata={"mmdist": json.dumps({"version": 1, "labels": list(self.labels)})})

    def take(self, rows: JudgedRows, answers: Mapping[str, npt.NDArray[Any]]) -> pa.Table:
        """See `Judge`. `answers` has `probabilities`, float32 (N, C)."""
        probabilities = answers["probabilities"]
        scores = score_rows(rows.label, probabilities)
        self._parts.append(scores)
        self._keep_mistakes(rows, scores)
        names = pa.array(self.labels, pa.string())
        columns: list[pa.Array[Any]] = [
            *rows.common,
            names.take(pa.array(scores.truth, pa.int32())),
            names.take(pa.array(scores.predicted, pa.int32())),
            pa.array(scores.confidence, pa.float32()),
            probability_lists(probabilities),
            pa.array([None if text is None else text[:TEXT_CHARACTERS] for text in rows.texts], pa.string()),
        ]
        return pa.Table.from_arrays(columns, schema=self.schema)

    def take_withheld(self, modality: str, rows: JudgedRows, answers: Mapping[str, npt.NDArray[Any]]) -> None:
        """See `Judge`."""
        self._withheld.setdefault(modality, []).append(score_rows(rows.label, answers["probabilities"]))

    def metrics(self, seed: int) -> dict[str, Any]:
        """See `Judge` and `scored_metrics`."""
        withheld = {name: RowScores.concatenate(parts) for name, parts in self._withheld.items()}
        return scored_metrics(self.scores, self.labels, self.spec, seed, withheld=withheld)

    @property
    def scores(self) -> RowScores:
        """All rows taken."""
        return RowScores.concatenate(self._parts)

    def _keep_mistakes(self, rows: JudgedRows, scores: RowScores) -> None:
        badness = np.where(scores.correct, 0.0, scores.confidence)
        for position in self.mistakes.worst(badness):
            answer = Answer(
                label=self.labels[scores.truth[position]],
                predicted=self.labels[scores.predicted[position]],
                confidence=float(scores.confidence[position]),
                label_probability=float(scores.truth_probability[position]),
            )
            place = int(rows.places[position])
            if not self.mistakes.offer(rows.batch, place, rows.texts[position], float(badness[position]), answer):
                return


def probability_lists(probabilities: npt.NDArray[np.floating]) -> "pa.Array[Any]":
    """Probabilities (N, C) as a column of lists of float32."""
    count, labels = probabilities.shape
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * labels, pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(probabilities.astype(np.float32).reshape(-1), pa.float32()))
