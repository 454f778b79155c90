"""Judges sentences by those that people wrote of the same rows."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

from mmdist.data.captions import CaptionEncoder, cut_words, join_words
from mmdist.errors import TrainingFailedError
from mmdist.evaluation.caption_scores import ORDERS, bleu_of, bleu_parts, cider_d
from mmdist.evaluation.judges.base import Judge, JudgedRows, headline_of
from mmdist.evaluation.metrics import with_interval
from mmdist.evaluation.mistakes import Answer
from mmdist.spec.data import ColumnsSpec
from mmdist.spec.evaluation import EvaluationSpec

__all__ = ["CaptioningJudge"]

_COLUMNS: dict[str, pa.DataType] = {
    "row": pa.int64(),
    "id": pa.string(),
    "label": pa.string(),
    "predicted": pa.string(),
    "log_probability": pa.float32(),
}
_GOLDEN = 0x9E3779B97F4A7C15

Floats = npt.NDArray[np.float64]
Words = list[list[str]]


class CaptioningJudge(Judge):
    """Keeps the words of each row, and for each modality that is withheld. Its `mistakes` are a sample of all rows.

    Args:
        encoder: Knows the words of the answers.
        spec: Level, resamples, and rows to show.
    """

    def __init__(self, encoder: CaptionEncoder, spec: EvaluationSpec) -> None:
        super().__init__(spec)
        self._encoder = encoder
        self._references: Words = []
        self._said: Words = []
        self._withheld: dict[str, Words] = {}

    @property
    def schema(self) -> pa.Schema:
        """See `Judge`."""
        return pa.schema(_COLUMNS)

    def text_column(self, columns: ColumnsSpec) -> str | None:
        """See `Judge`: whole references, not cut to what the model can say."""
        return columns.label

    def take(self, rows: JudgedRows, answers: Mapping[str, npt.NDArray[Any]]) -> pa.Table:
        """See `Judge`. `answers` has `tokens`, int32 (N, T), and `log_probability`, float32 (N,)."""
        said, log_probability = self._sentences(rows, answers), answers["log_probability"]
        references = [text or "" for text in rows.texts]
        self._said += said
        self._references += cut_words(references, lowercase=self._encoder.lowercase)
        captions = [join_words(words) for words in said]
        chances = _chance(rows.batch.row[rows.places])
        for position in self.mistakes.worst(chances):
            answer = Answer(label=references[position], predicted=captions[position])
            if not self.mistakes.offer(rows.batch, int(rows.places[position]), None, float(chances[position]), answer):
                break
        columns: list[pa.Array[Any]] = [
            *rows.common,
            pa.array(references, pa.string()),
            pa.array(captions, pa.string()),
            pa.array(log_probability, pa.float32()),
        ]
        return pa.Table.from_arrays(columns, schema=self.schema)

    def take_withheld(self, modality: str, rows: JudgedRows, answers: Mapping[str, npt.NDArray[Any]]) -> None:
        """See `Judge`."""
        self._withheld.setdefault(modality, []).extend(self._sentences(rows, answers))

    def metrics(self, seed: int) -> dict[str, Any]:
        """See `Judge`."""
        headline, samples = self._headline(self._said, seed)
        ablation = []
        for modality, said in self._withheld.items():
            other, others = self._headline(said, seed)
            apart = other["cider"]["value"] - headline["cider"]["value"]
            difference = with_interval(apart, others["cider"] - samples["cider"], self.spec)
            ablation.append({"withheld": modality, "headline": other, "difference": difference})
        swapped = _swapped(len(self._said), seed)
        return {
            "task": "captioning",
            "main": "cider",
            "rows": len(self._said),
            "headline": headline,
            "baseline": {
                "answer": "giving each row the caption of another",
                "value": float(cider_d([self._said[row] for row in swapped], self._references).mean()),
            },
            "ablation": ablation,
        }

    def _headline(self, said: Words, seed: int) -> tuple[dict[str, Any], dict[str, Floats]]:
        own = np.stack([np.ones(len(said)), cider_d(said, self._references)], axis=1)
        features = sparse.csr_matrix(np.concatenate([bleu_parts(said, self._references), own], axis=1))
        return headline_of(features, _STATISTICS, self.spec, seed)

    def _sentences(self, rows: JudgedRows, answers: Mapping[str, npt.NDArray[Any]]) -> Words:
        log_probability = np.asarray(answers["log_probability"])
        if log_probability.shape != (len(rows.places),) or not np.isfinite(log_probability).all():
            raise TrainingFailedError(
                "the probabilities of the model's sentences are not finite numbers, or not one per row",
                expected=f"finite numbers of shape ({len(rows.places)},)",
                received=f"shape {log_probability.shape}, {int((~np.isfinite(log_probability)).sum())} not finite",
                remedy="training has diverged: lower train.optimizer.learning_rate, or evaluate an earlier checkpoint",
            )
        return [self._encoder.words_of(tokens) for tokens in answers["tokens"]]


def _mean_cider(sums: Floats) -> Floats:
    return sums[:, -1] / sums[:, -2]


_STATISTICS: Mapping[str, Callable[[Floats], Floats]] = {
    "cider": _mean_cider,
    **{f"bleu_{order}": partial(bleu_of, order=order) for order in range(1, ORDERS + 1)},
}


def _chance(rows: npt.NDArray[np.int64]) -> Floats:
    """A number in (0, 1] of each row's number (N,), which no answer has a part in: the largest make a sample."""
    mixed = (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN)
    return ((mixed >> np.uint64(11)).astype(np.float64) + 1.0) / 2.0**53


def _swapped(rows: int, seed: int) -> Sequence[int]:
    """For each of so many rows another one, each once."""
    order = np.random.default_rng(seed).permutation(rows)
    other = np.empty(rows, np.int64)
    other[order] = np.roll(order, 1)
    found: list[int] = other.tolist()
    return found
