"""The numbers of a classification report: headline metrics with intervals, classes, confusions and calibration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sklearn_metrics

from mmdist.evaluation.bootstrap import (
    TOP,
    Floats,
    Sums,
    calibration_bin,
    percentile_interval,
    resampled_sums,
    total_sums,
)
from mmdist.evaluation.scores import RowScores, score_rows
from mmdist.spec.evaluation import EvaluationSpec

__all__ = ["classification_metrics", "scored_metrics", "with_interval"]

_MOST_DENSE_CLASSES = 100
_MOST_PAIRS = 50


@dataclass(frozen=True)
class _Resamples:
    """What each of S resamples gives: headline metrics (S,), and per class (S, C)."""

    headline: dict[str, Floats]
    recall: npt.NDArray[np.float32]
    f1: npt.NDArray[np.float32]


def classification_metrics(
    truth: npt.NDArray[np.integer],
    probabilities: npt.NDArray[np.floating],
    labels: Sequence[str],
    spec: EvaluationSpec,
    seed: int,
) -> dict[str, Any]:
    """All numbers of a report over rows whose probabilities are in memory; see `scored_metrics`.

    Args:
        truth: (N,) integer in [0, C).
        probabilities: (N, C) floating.
        labels: C names.
        spec: Level, resamples and bins.
        seed: The job's seed.
    """
    return scored_metrics(score_rows(truth, probabilities), labels, spec, seed)


def scored_metrics(
    scores: RowScores,
    labels: Sequence[str],
    spec: EvaluationSpec,
    seed: int,
    *,
    withheld: Mapping[str, RowScores] | None = None,
) -> dict[str, Any]:
    """All numbers of a report over at least one row, of types that JSON holds.

    Args:
        scores: The rows.
        labels: C names.
        spec: Level, resamples and bins.
        seed: The job's seed.
        withheld: By modality, the scores of the same rows when the model is not shown that modality.

    Returns:
        `rows`, `classes`, `headline` (each metric as `value`, `low`, `high`; `top_3_accuracy` only for more than
        three classes), `baseline` (the answer that is right most often when it is always given), `ablation`,
        `per_class` in the order of the labels, `confusion` and `calibration`. A number that cannot be known, such
        as the recall of a class without rows, is None.
    """
    classes = len(labels)
    resamples = _resample(scores, classes, spec, seed)
    confusion = sklearn_metrics.confusion_matrix(scores.truth, scores.predicted, labels=np.arange(classes))
    precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(
        scores.truth, scores.predicted, labels=np.arange(classes), zero_division=np.nan
    )
    predicted = confusion.sum(axis=0)
    per_class = [
        {
            "label": label,
            "support": int(support[index]),
            "predicted": int(predicted[index]),
            "precision": _number(precision[index]),
            "recall": with_interval(recall[index], resamples.recall[:, index], spec),
            "f1": with_interval(f1[index], resamples.f1[:, index], spec),
        }
        for index, label in enumerate(labels)
    ]
    commonest = int(support.argmax())
    return {
        "task": "classification",
        "main": "accuracy",
        "rows": len(scores),
        "classes": classes,
        "headline": _headline(scores, resamples, classes, spec),
        "baseline": {"label": labels[commonest], "accuracy": float(support[commonest] / len(scores))},
        "ablation": [
            _ablation(modality, scores, resamples, other, classes, spec, seed)
            for modality, other in (withheld or {}).items()
        ],
        "per_class": per_class,
        "confusion": _confusion(confusion, labels),
        "calibration": _calibration(scores, spec.calibration_bins),
    }


def _resample(scores: RowScores, classes: int, spec: EvaluationSpec, seed: int) -> _Resamples:
    headline: dict[str, list[Floats]] = {name: [] for name in _STATISTICS}
    recall, f1 = [], []
    for sums in resampled_sums(scores, classes, spec.calibration_bins, samples=spec.bootstrap_samples, seed=seed):
        for name, statistic in _STATISTICS.items():
            headline[name].append(statistic(sums))
        recall.append(_share(sums.hits, sums.support).astype(np.float32))
        f1.append(_f1(sums).astype(np.float32))
    return _Resamples(
        {name: np.concatenate(chunks) for name, chunks in headline.items()}, np.concatenate(recall), np.concatenate(f1)
    )


def _headline(scores: RowScores, resamples: _Resamples, classes: int, spec: EvaluationSpec) -> dict[str, Any]:
    sums = total_sums(scores, classes, spec.calibration_bins)
    macro_f1 = sklearn_metrics.f1_score(
        scores.truth, scores.predicted, labels=np.arange(classes), average="macro", zero_division=np.nan
    )
    values = {
        "accuracy": sklearn_metrics.accuracy_score(scores.truth, scores.predicted),
        "balanced_accuracy": _balanced_accuracy(sums)[0],
        "macro_f1": macro_f1,
        "log_loss": _log_loss(sums)[0],
        "top_3_accuracy": _top_3_accuracy(sums)[0],
        "calibration_error": _calibration_error(sums)[0],
    }
    samples = dict(resamples.headline)
    # A mean of absolute gaps grows with noise, and a resample has the noise twice: taken off, on average.
    excess = samples["calibration_error"].mean() - values["calibration_error"]
    samples["calibration_error"] = np.maximum(samples["calibration_error"] - excess, 0.0)
    return {
        name: with_interval(value, samples[name], spec)
        for name, value in values.items()
        if name != "top_3_accuracy" or classes > TOP
    }


def _ablation(
    modality: str,
    scores: RowScores,
    resamples: _Resamples,
    other: RowScores,
    classes: int,
    spec: EvaluationSpec,
    seed: int,
) -> dict[str, Any]:
    """The same rows are drawn for both sides, so that what makes a row hard for both cancels out of the difference."""
    others = _resample(other, classes, spec, seed)
    difference = others.headline["accuracy"] - resamples.headline["accuracy"]
    return {
        "withheld": modality,
        "headline": _headline(other, others, classes, spec),
        "accuracy_difference": with_interval(other.correct.mean() - scores.correct.mean(), difference, spec),
    }


def _accuracy(sums: Sums) -> Floats:
    result: Floats = sums.hits.sum(axis=1) / sums.rows
    return result


def _balanced_accuracy(sums: Sums) -> Floats:
    return _mean_of_known(_share(sums.hits, sums.support))


def _macro_f1(sums: Sums) -> Floats:
    return _mean_of_known(_f1(sums))


def _log_loss(sums: Sums) -> Floats:
    result: Floats = sums.log_loss / sums.rows
    return result


def _top_3_accuracy(sums: Sums) -> Floats:
    result: Floats = sums.top / sums.rows
    return result


def _calibration_error(sums: Sums) -> Floats:
    result: Floats = np.abs(sums.bin_gap).sum(axis=1) / sums.rows
    return result


_STATISTICS: Mapping[str, Callable[[Sums], Floats]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "macro_f1": _macro_f1,
    "log_loss": _log_loss,
    "top_3_accuracy": _top_3_accuracy,
    "calibration_error": _calibration_error,
}


def _f1(sums: Sums) -> Floats:
    return _share(2 * sums.hits, sums.support + sums.predicted)


def _share(part: Floats, whole: Floats) -> Floats:
    """part / whole, and NaN where the whole is zero."""
    result: Floats = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return result


def _mean_of_known(values: Floats) -> Floats:
    """(S, C): mean over the classes that are not NaN. Every resample has such a class."""
    known = np.isfinite(values)
    result: Floats = np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)
    return result


def with_interval(value: Any, samples: npt.NDArray[np.floating], spec: EvaluationSpec) -> dict[str, float | None]:
    """A number with the interval that its resamples (S,) give; None for what cannot be known."""
    low, high = percentile_interval(samples.astype(np.float64), spec.confidence)
    return {"value": _number(value), "low": _number(low), "high": _number(high)}


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _confusion(counts: npt.NDArray[np.int64], labels: Sequence[str]) -> dict[str, Any]:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_PAIRS]
    pairs = [
        {
            "label": labels[truth],
            "predicted": labels[predicted],
            "rows": int(wrong[truth, predicted]),
            "share": float(wrong[truth, predicted] / counts[truth].sum()),
        }
        for truth, predicted in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[truth, predicted]
    ]
    return {"counts": counts.tolist() if len(labels) <= _MOST_DENSE_CLASSES else None, "pairs": pairs}


def _calibration(scores: RowScores, bins: int) -> list[dict[str, float | int | None]]:
    index = calibration_bin(scores, bins)
    rows = np.bincount(index, minlength=bins)
    confidence = _share(_bin_sums(index, scores.confidence, bins), rows.astype(np.float64))
    accuracy = _share(_bin_sums(index, scores.correct, bins), rows.astype(np.float64))
    return [
        {
            "from": bin_ / bins,
            "to": (bin_ + 1) / bins,
            "rows": int(rows[bin_]),
            "confidence": _number(confidence[bin_]),
            "accuracy": _number(accuracy[bin_]),
        }
        for bin_ in range(bins)
    ]


def _bin_sums(index: npt.NDArray[np.int64], values: npt.NDArray[Any], bins: int) -> Floats:
    sums: Floats = np.bincount(index, weights=values, minlength=bins).astype(np.float64)
    return sums
