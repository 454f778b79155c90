"""How far down its own ones lie for each query, among all candidates ordered by their cosine."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["Ranked", "chance_recall", "median_rank_of", "nearest", "rank_queries"]

_CELLS_PER_CHUNK = 8_000_000
"""Cosines that are held at a time: 32 MB, and as much for what is compared with them."""

Floats32 = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ranked:
    """Of Q queries."""

    rank: Integers
    """(Q,): place of the first right candidate, from 1. A wrong one with the same cosine goes before it."""
    nearest: Integers
    """(Q,): number of the candidate with the largest cosine."""


def rank_queries(queries: Floats32, candidates: Floats32, right: sparse.csr_matrix) -> Ranked:
    """Ranks, exactly: every query meets every candidate.

    Args:
        queries: (Q, D), unit vectors.
        candidates: (M, D), unit vectors; M is at least 1.
        right: (Q, M), which candidates are right for which query: at least one for each.
    """
    size = max(1, _CELLS_PER_CHUNK // len(candidates))
    ranks, best = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start in range(0, len(queries), size):
        cosines = queries[start : start + size] @ candidates.T
        is_right = right[start : start + size].toarray() > 0
        own = np.where(is_right, cosines, -np.inf).max(axis=1)
        ranks.append(1 + ((cosines >= own[:, None]) & ~is_right).sum(axis=1))
        best.append(cosines.argmax(axis=1))
    return Ranked(np.concatenate(ranks), np.concatenate(best))


def nearest(query: Floats32, candidates: Floats32, count: int) -> tuple[list[int], list[float]]:
    """The candidates (M, D) with the largest cosines to a query (D,), the largest first, and these."""
    cosines = candidates @ query
    order: list[int] = np.argsort(-cosines, kind="stable")[:count].tolist()
    return order, [float(cosines[number]) for number in order]


def chance_recall(right: Integers, candidates: int, most: int) -> npt.NDArray[np.float64]:
    """(Q,): how probably one of its right candidates is among the first `most` where their order is a chance.

    Args:
        right: (Q,), right candidates of each query.
        candidates: Of all queries.
        most: Places that count.
    """
    missed = np.ones(len(right))
    for place in range(min(most, candidates)):
        missed *= np.maximum(candidates - right - place, 0) / (candidates - place)
    return np.asarray(1.0 - missed)


def median_rank_of(counts: npt.NDArray[np.float64], ranks: Integers) -> npt.NDArray[np.float64]:
    """(S,): of queries counted by their ranks (S, K), the smallest rank that half of them or more do not exceed.

    Args:
        counts: How many queries have each rank.
        ranks: (K,), rising.
    """
    reached = np.cumsum(counts, axis=1) * 2 >= counts.sum(axis=1, keepdims=True)
    medians: npt.NDArray[np.float64] = ranks[reached.argmax(axis=1)].astype(np.float64)
    return medians
