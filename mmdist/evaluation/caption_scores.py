"""How near sentences are to those that people wrote: the parts of BLEU, and CIDEr-D."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["ORDERS", "bleu_of", "bleu_parts", "cider_d"]

ORDERS = 4
"""Longest n-gram, in words."""
_SIGMA = 6.0
_SCALE = 10.0

Floats = npt.NDArray[np.float64]
Sentences = Sequence[Sequence[str]]


def bleu_parts(said: Sentences, references: Sentences) -> Floats:
    """What each row adds to the sums that BLEU is made of: (N, 2 * ORDERS + 2).

    Of each order the n-grams that are in both, then of each order the n-grams that were said, then the words that
    were said, and those of the reference. They are counted by `sacrebleu`.

    Args:
        said: N sentences, as words.
        references: The N sentences to compare with.
    """
    from sacrebleu.metrics.bleu import BLEU  # not needed where nothing is evaluated

    counter = BLEU(tokenize="none", smooth_method="none", max_ngram_order=ORDERS, effective_order=True)
    rows = []
    for one, other in zip(said, references, strict=True):
        score = counter.sentence_score(" ".join(one), [" ".join(other)])
        rows.append([*score.counts, *score.totals, score.sys_len, score.ref_len])
    return np.array(rows, np.float64).reshape(len(rows), 2 * ORDERS + 2)


def bleu_of(sums: Floats, order: int) -> Floats:
    """BLEU in [0, 1] of n-grams up to an order, without smoothing, from sums (S, 2 * ORDERS + 2): (S,).

    Ref: doi:10.3115/1073083.1073135.
    """
    hits, totals = sums[:, :order], sums[:, ORDERS : ORDERS + order]
    said, wanted = sums[:, 2 * ORDERS], sums[:, 2 * ORDERS + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = np.where(totals > 0, hits / totals, 0.0)
        brevity = np.where(said > 0, np.minimum(1.0, np.exp(1.0 - wanted / said)), 0.0)
        score: Floats = brevity * np.exp(np.log(precisions).mean(axis=1))
    return score


def cider_d(said: Sentences, references: Sentences) -> Floats:
    """CIDEr-D of each row against one reference, from 0 to 10: float64 (N,).

    An n-gram weighs the more, the fewer references have it. Its count in what was said is cut to that of the
    reference, and another length costs a Gaussian factor.

    Args:
        said: N sentences, as words.
        references: The N sentences to compare with; the weights are learned from them.

    Ref: arXiv:1411.5726.
    """
    wanted = [_counts(words) for words in references]
    rows_with = Counter(ngram for counts in wanted for ngram in counts)
    rarest = math.log(max(len(wanted), 1))
    weights = {ngram: rarest - math.log(rows) for ngram, rows in rows_with.items()}
    scores = np.zeros(len(wanted), np.float64)
    for row, (one, other) in enumerate(zip(said, references, strict=True)):
        parts = _cosines(_counts(one), wanted[row], weights, rarest)
        gap = max(len(one) - 1, 0) - max(len(other) - 1, 0)
        scores[row] = _SCALE * math.exp(-(gap**2) / (2 * _SIGMA**2)) * sum(parts) / ORDERS
    return scores


_Ngram = tuple[str, ...]


def _counts(words: Sequence[str]) -> Counter[_Ngram]:
    return Counter(
        tuple(words[start : start + order]) for order in range(1, ORDERS + 1) for start in range(len(words) - order + 1)
    )


def _cosines(
    said: Counter[_Ngram], wanted: Counter[_Ngram], weights: dict[_Ngram, float], unknown: float
) -> list[float]:
    """By order, the cosine of the weighted counts, of which what was said too often is left out of the product."""
    products, said_squares, wanted_squares = ([0.0] * ORDERS for _ in range(3))
    for ngram, count in said.items():
        order, weight = len(ngram) - 1, weights.get(ngram, unknown)
        said_squares[order] += (count * weight) ** 2
        products[order] += min(count, wanted[ngram]) * wanted[ngram] * weight**2
    for ngram, count in wanted.items():
        wanted_squares[len(ngram) - 1] += (count * weights[ngram]) ** 2
    return [
        product / math.sqrt(one * other) if one and other else 0.0
        for product, one, other in zip(products, said_squares, wanted_squares, strict=True)
    ]
