"""Judges answers that give each label a probability, of which any number is right."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse
from sklearn.metrics import average_precision_score

from mmdist.errors import TrainingFailedError
from mmdist.evaluation.judges.base import Judge, JudgedRows, headline_of
from mmdist.evaluation.judges.classification import probability_lists
from mmdist.evaluation.metrics import with_interval
from mmdist.evaluation.mistakes import Answer
from mmdist.evaluation.row_texts import TEXT_CHARACTERS
from mmdist.spec.evaluation import EvaluationSpec

__all__ = ["MultilabelJudge"]

_COLUMNS: dict[str, pa.DataType] = {
    "row": pa.int64(),
    "id": pa.string(),
    "labels": pa.list_(pa.string()),
    "predicted": pa.list_(pa.string()),
    "probabilities": pa.list_(pa.float32()),
    "text": pa.string(),
}
_SHOWN_LABELS = 8

Floats = npt.NDArray[np.float64]
Marks = npt.NDArray[np.bool_]


class MultilabelJudge(Judge):
    """Keeps two bits a row, label and modality, and the probabilities of the whole model.

    Args:
        labels: C names, in the order of the probabilities.
        spec: Level, resamples and mistakes.
        threshold: Probability from which a label counts as given.
    """

    def __init__(self, labels: Sequence[str], spec: EvaluationSpec, *, threshold: float) -> None:
        super().__init__(spec)
        self.labels = tuple(labels)
        self._threshold = threshold
        self._truth: list[Marks] = []
        self._probabilities: list[npt.NDArray[np.float32]] = []
        self._withheld: dict[str, list[Marks]] = {}

    @property
    def schema(self) -> pa.Schema:
        """See `Judge`. The labels, in the order of `probabilities`, are in the metadata."""
        return pa.schema(_COLUMNS, metadata={"mmdist": json.dumps({"version": 1, "labels": list(self.labels)})})

    def take(self, rows: JudgedRows, answers: Mapping[str, npt.NDArray[Any]]) -> pa.Table:
        """See `Judge`. `answers` has `probabilities`, float32 (N, C)."""
        probabilities = self._finite(rows, answers)
        truth, given = rows.label > 0.5, probabilities >= self._threshold
        self._truth.append(truth)
        self._probabilities.append(probabilities)
        wrong = (truth != given).sum(axis=1) + np.abs(probabilities - truth).mean(axis=1)
        for position in self.mistakes.worst(np.where((truth != given).any(axis=1), wrong, 0.0)):
            answer = Answer(label=self._words(truth[position]), predicted=self._words(given[position]))
            place = int(rows.places[position])
            if not self.mistakes.offer(rows.batch, place, rows.texts[position], float(wrong[position]), answer):
                break
        columns: list[pa.Array[Any]] = [
            *rows.common,
            pa.array([self._names(marks) for marks in truth], pa.list_(pa.string())),
            pa.array([self._names(marks) for marks in given], pa.list_(pa.string())),
            probability_lists(probabilities),
            pa.array([None if text is None else text[:TEXT_CHARACTERS] for text in rows.texts], pa.string()),
        ]
        return pa.Table.from_arrays(columns, schema=self.schema)

    def take_withheld(self, modality: str, rows: JudgedRows, answers: Mapping[str, npt.NDArray[Any]]) -> None:
        """See `Judge`."""
        self._withheld.setdefault(modality, []).append(self._finite(rows, answers) >= self._threshold)

    def metrics(self, seed: int) -> dict[str, Any]:
        """See `Judge`; further `per_class`: `label`, `support`, `predicted`, `precision`, `recall` and `f1`."""
        truth = np.concatenate(self._truth)
        probabilities = np.concatenate(self._probabilities)
        given = probabilities >= self._threshold
        headline, samples = self._headline(truth, given, seed)
        known = truth.any(axis=0)
        headline["mean_average_precision"] = {
            "value": float(average_precision_score(truth[:, known], probabilities[:, known], average="macro"))
            if known.any()
            else None,
            "low": None,
            "high": None,
        }
        shares = truth.mean(axis=0)
        always = shares >= 0.5 if (shares >= 0.5).any() else shares == shares.max()
        [baseline] = _micro_f1(_features(truth, np.broadcast_to(always, truth.shape)).sum(axis=0).reshape(1, -1))
        return {
            "task": "multilabel",
            "main": "micro_f1",
            "rows": len(truth),
            "classes": len(self.labels),
            "headline": headline,
            "baseline": {
                "answer": f"always answering {self._words(always)}",
                "value": float(baseline),
            },
            "ablation": [
                self._ablation(name, truth, np.concatenate(parts), headline, samples, seed)
                for name, parts in self._withheld.items()
            ],
            "per_class": _per_class(truth, given, self.labels),
        }

    def _headline(self, truth: Marks, given: Marks, seed: int) -> tuple[dict[str, Any], dict[str, Floats]]:
        return headline_of(_features(truth, given), _STATISTICS, self.spec, seed)

    def _ablation(
        self,
        modality: str,
        truth: Marks,
        given: Marks,
        whole: Mapping[str, Any],
        samples: Mapping[str, Floats],
        seed: int,
    ) -> dict[str, Any]:
        headline, others = self._headline(truth, given, seed)
        apart = headline["micro_f1"]["value"] - whole["micro_f1"]["value"]
        difference = with_interval(apart, others["micro_f1"] - samples["micro_f1"], self.spec)
        return {"withheld": modality, "headline": headline, "difference": difference}

    def _finite(self, rows: JudgedRows, answers: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        probabilities = np.asarray(answers["probabilities"], np.float32)
        if probabilities.shape != rows.label.shape or not np.isfinite(probabilities).all():
            raise TrainingFailedError(
                "the model's probabilities are not finite numbers, or not one per label",
                expected=f"finite numbers of shape {rows.label.shape}",
                received=f"shape {probabilities.shape}, {int((~np.isfinite(probabilities)).sum())} not finite",
                remedy="training has diverged: lower train.optimizer.learning_rate, or evaluate an earlier checkpoint",
            )
        return probabilities

    def _names(self, marks: Marks) -> list[str]:
        return [self.labels[number] for number in np.flatnonzero(marks).tolist()]

    def _words(self, marks: Marks) -> str:
        names = self._names(marks)
        return ", ".join(names[:_SHOWN_LABELS]) + (", ..." if len(names) > _SHOWN_LABELS else "") or "nothing"


def _features(truth: Marks, given: Marks) -> sparse.csr_matrix:
    """(N, 3 C + 3): right answers, given labels and true labels, then rows, exact matches and Jaccard index."""
    both, either = (truth & given).sum(axis=1), (truth | given).sum(axis=1)
    jaccard = np.divide(both, either, out=np.ones(len(truth)), where=either > 0)
    exact = (truth == given).all(axis=1)
    own = np.stack([np.ones(len(truth)), exact, jaccard], axis=1)
    return sparse.csr_matrix(np.concatenate([truth & given, given, truth, own], axis=1).astype(np.float64))


def _parts(sums: Floats) -> tuple[Floats, Floats, Floats]:
    labels = (sums.shape[1] - 3) // 3
    return sums[:, :labels], sums[:, labels : 2 * labels], sums[:, 2 * labels : 3 * labels]


def _share(part: Floats, whole: Floats) -> Floats:
    result: Floats = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return result


def _micro_f1(sums: Floats) -> Floats:
    hits, given, true = (part.sum(axis=1) for part in _parts(np.asarray(sums, np.float64)))
    return _share(2 * hits, given + true)


def _macro_f1(sums: Floats) -> Floats:
    hits, given, true = _parts(sums)
    f1 = _share(2 * hits, given + true)
    known = np.isfinite(f1)
    return _share(np.where(known, f1, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))


def _exact_match(sums: Floats) -> Floats:
    return _share(sums[:, -2], sums[:, -3])


def _jaccard(sums: Floats) -> Floats:
    return _share(sums[:, -1], sums[:, -3])


_STATISTICS: Mapping[str, Callable[[Floats], Floats]] = {
    "micro_f1": _micro_f1,
    "macro_f1": _macro_f1,
    "jaccard": _jaccard,
    "exact_match": _exact_match,
}


def _per_class(truth: Marks, given: Marks, labels: Sequence[str]) -> list[dict[str, Any]]:
    hits, answered, support = ((truth & given).sum(axis=0), given.sum(axis=0), truth.sum(axis=0))
    return [
        {
            "label": label,
            "support": int(support[number]),
            "predicted": int(answered[number]),
            "precision": float(hits[number] / answered[number]) if answered[number] else None,
            "recall": float(hits[number] / support[number]) if support[number] else None,
            "f1": float(2 * hits[number] / (answered[number] + support[number]))
            if answered[number] + support[number]
            else None,
        }
        for number, label in enumerate(labels)
    ]
