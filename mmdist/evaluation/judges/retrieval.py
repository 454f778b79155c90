"""Judges where the right texts lie among all texts for a picture, and the right pictures for a text."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

from mmdist.errors import DataRefusedError, TrainingFailedError
from mmdist.evaluation.judges.base import Judge, JudgedRows, headline_of
from mmdist.evaluation.neighbours import FOUND, Neighbour, Query, write_neighbours
from mmdist.evaluation.retrieval_scores import Ranked, chance_recall, median_rank_of, nearest, rank_queries
from mmdist.evaluation.row_pictures import RowPictures
from mmdist.evaluation.row_texts import TEXT_CHARACTERS
from mmdist.spec.evaluation import EvaluationSpec
from mmdist.storage import Store

__all__ = ["RetrievalJudge"]

PLACES = (1, 5, 10)
"""Places that a right answer is looked for in: recall at 1, at 5 and at 10."""
WAYS = (("image", "text"), ("text", "image"))
_COLUMNS: dict[str, pa.DataType] = {
    "row": pa.int64(),
    "id": pa.string(),
    "text": pa.string(),
    "text_rank": pa.int64(),
    "image_rank": pa.int64(),
    "nearest_text": pa.int64(),
    "nearest_image": pa.int64(),
}
_DIGEST_BYTES = 16

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class RetrievalJudge(Judge):
    """Keeps two vectors, two hashes and the beginning of the text of each row; compares all with all at the end.

    A text is right for a picture where any row has both, and so is a picture for a text. Texts are equal up to the
    case of letters and white space, pictures where the model sees the same pixels; equal ones are one candidate.

    Args:
        width: D of the vectors.
        spec: Level, resamples, and queries to show.
    """

    withholds: ClassVar[bool] = False

    def __init__(self, width: int, spec: EvaluationSpec) -> None:
        super().__init__(spec)
        self._width = width
        self._row: list[int] = []
        self._id: list[str | None] = []
        self._text: list[str | None] = []
        self._keys: dict[str, list[bytes | None]] = {"image": [], "text": []}
        self._vectors: dict[str, list[npt.NDArray[np.float32]]] = {"image": [], "text": []}

    @property
    def schema(self) -> pa.Schema:
        """See `Judge`."""
        return pa.schema(_COLUMNS)

    def take(self, rows: JudgedRows, answers: Mapping[str, npt.NDArray[Any]]) -> pa.Table:
        """See `Judge`. `answers` has of `image` and `text` an `_embedding`, float32 (N, D), and `_present`, (N,).

        Returns no rows: where a row's own lie is known when all rows are, and `rest` has them.
        """
        batch = rows.batch
        for modality in self._vectors:
            self._vectors[modality].append(self._finite(rows, answers[f"{modality}_embedding"]))
        has_image, has_text = (answers[f"{modality}_present"] > 0 for modality in ("image", "text"))
        for position, place in enumerate(rows.places.tolist()):
            text = rows.texts[position]
            pixels = batch.image[place].tobytes() if batch.image is not None and has_image[position] else None
            words = " ".join(text.casefold().split()).encode() if text is not None and has_text[position] else None
            self._keys["image"].append(_digest(pixels))
            self._keys["text"].append(_digest(words))
            self._row.append(int(batch.row[place]))
            self._id.append(batch.ids[place])
            self._text.append(None if text is None else text[:TEXT_CHARACTERS])
        return self.schema.empty_table()

    def take_withheld(self, modality: str, rows: JudgedRows, answers: Mapping[str, npt.NDArray[Any]]) -> None:
        """See `Judge`: nothing can be found without what is looked for."""

    def rest(self) -> pa.Table:
        """See `Judge`: the ranks of all rows."""
        columns: dict[str, pa.Array[Any]] = {
            "row": pa.array(self._row, pa.int64()),
            "id": pa.array(self._id, pa.string()),
            "text": pa.array(self._text, pa.string()),
        }
        for asked, found in WAYS:
            way, rows = self._ways[asked], len(self._row)
            rank, first = np.full(rows, -1, np.int64), np.full(rows, -1, np.int64)
            rank[self._pairs] = way.ranked.rank
            first[self._pairs] = np.asarray(self._row)[way.candidates[way.ranked.nearest]]
            columns[f"{found}_rank"] = pa.array(rank, mask=rank < 0)
            columns[f"nearest_{found}"] = pa.array(first, mask=first < 0)
        return pa.Table.from_arrays([columns[name] for name in _COLUMNS], schema=self.schema)

    def write_examples(self, run: Store, pictures: RowPictures) -> None:
        """See `Judge`: queries with what is found for them, in half of them right ones in the first places."""
        super().write_examples(run, pictures)
        queries = [query for asked, _ in WAYS for query in self._examples(asked)]
        shown = {row for query in queries for row in query.pictured}
        write_neighbours(run, queries, pictures.of(shown))

    def metrics(self, seed: int) -> dict[str, Any]:
        """See `Judge`; further `ways`: `asked`, `found`, `queries`, `candidates`, and `chance` by metric."""
        features, statistics = self._features()
        headline, _ = headline_of(features, statistics, self.spec, seed)
        chance = {name: value for asked, found in WAYS for name, value in self._chance(asked, found).items()}
        recalls = [value for name, value in chance.items() if "recall" in name]
        baseline = {"mean_recall": float(np.mean(recalls)), **chance}
        return {
            "task": "retrieval",
            "main": "mean_recall",
            "rows": len(self._pairs),
            "headline": headline,
            "baseline": {"answer": "an order by chance", "value": baseline["mean_recall"], "headline": baseline},
            "ablation": [],
            "ways": [
                {
                    "asked": asked,
                    "found": found,
                    "queries": len(self._pairs),
                    "candidates": len(self._ways[asked].candidates),
                }
                for asked, found in WAYS
            ],
        }

    @cached_property
    def _pairs(self) -> Integers:
        """(P,): positions of the rows that have both."""
        both = [image is not None and text is not None for image, text in zip(*self._keys.values(), strict=True)]
        pairs = np.flatnonzero(np.array(both, bool))
        if not len(pairs):
            raise DataRefusedError(
                "no row has both a picture and a text, so that nothing can be looked for",
                expected="at least one row with both",
                received=f"{len(both)} rows",
                remedy="name the columns of both as data.columns.image and data.columns.text",
            )
        return pairs

    @cached_property
    def _ways(self) -> dict[str, "_Way"]:
        """By what is asked with."""
        vectors = {name: np.concatenate(parts) for name, parts in self._vectors.items()}
        image, text = (_distinct(self._keys[name]) for name in ("image", "text"))
        known = (image.number[self._pairs], text.number[self._pairs])
        right = sparse.csr_matrix((np.ones(len(self._pairs)), known), shape=(len(image.first), len(text.first)))
        ways = {}
        for asked, candidates, numbers, of in (
            ("image", text.first, known[0], right),
            ("text", image.first, known[1], right.T.tocsr()),
        ):
            found = "text" if asked == "image" else "image"
            own = of[numbers]
            ranked = rank_queries(vectors[asked][self._pairs], vectors[found][candidates], own)
            ways[asked] = _Way(candidates, own, ranked, vectors[asked], vectors[found][candidates])
        return ways

    def _features(self) -> tuple[sparse.csr_matrix, dict[str, Callable[[Floats], Floats]]]:
        """What each pair adds to each sum: 1, hits by way and place, then by way 1 in the column of its rank."""
        pairs = len(self._pairs)
        blocks: list[Any] = [np.ones((pairs, 1))]
        statistics: dict[str, Callable[[Floats], Floats]] = {"mean_recall": _mean_recall}
        for asked, found in WAYS:
            for most in PLACES:
                statistics[f"{asked}_to_{found}_recall_at_{most}"] = partial(_recall, column=len(blocks))
                blocks.append((self._ways[asked].ranked.rank <= most)[:, None].astype(np.float64))
        first = len(blocks)
        for asked, found in WAYS:
            ranks, column = np.unique(self._ways[asked].ranked.rank, return_inverse=True)
            blocks.append(sparse.csr_matrix((np.ones(pairs), (np.arange(pairs), column)), shape=(pairs, len(ranks))))
            statistics[f"{asked}_to_{found}_median_rank"] = partial(_median_rank, first=first, ranks=ranks)
            first += len(ranks)
        return sparse.hstack(blocks).tocsr(), statistics

    def _chance(self, asked: str, found: str) -> dict[str, float]:
        way = self._ways[asked]
        count = len(way.candidates)
        own = np.diff(way.right.indptr).astype(np.int64)
        recalls = {
            f"{asked}_to_{found}_recall_at_{most}": float(chance_recall(own, count, most).mean()) for most in PLACES
        }
        # Of r right ones in M places, the first lies at (M + 1) / (r + 1) on average.
        return {**recalls, f"{asked}_to_{found}_median_rank": float(np.median((count + 1) / (own + 1)))}

    def _examples(self, asked: str) -> list["Query"]:
        """Of the pairs in an order that no answer has a part in, the first ones found, and the first ones missed."""
        way, half = self._ways[asked], self.spec.mistakes // 2
        chances = [hashlib.blake2b(str(self._row[position]).encode()).digest() for position in self._pairs.tolist()]
        order = np.array(sorted(range(len(chances)), key=chances.__getitem__), np.int64)
        is_hit = way.ranked.rank[order] <= FOUND
        hits, misses = order[is_hit], order[~is_hit]
        most = max(half - len(misses), half - half // 2)
        chosen = [*hits[:most].tolist(), *misses[: half - min(len(hits), most)].tolist()]
        return [self._query(asked, number) for number in chosen]

    def _query(self, asked: str, number: int) -> "Query":
        way, position = self._ways[asked], int(self._pairs[number])
        right = set(way.right[number].indices.tolist())
        order, cosines = nearest(way.queries[position], way.vectors, FOUND)
        neighbours = []
        for candidate, cosine in zip(order, cosines, strict=True):
            at = int(way.candidates[candidate])
            neighbours.append(Neighbour(self._row[at], self._id[at], self._text[at], cosine, candidate in right))
        rank = int(way.ranked.rank[number])
        return Query(
            asked, self._row[position], self._id[position], self._text[position], rank, len(way.candidates), neighbours
        )

    def _finite(self, rows: JudgedRows, vectors: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        vectors = np.asarray(vectors, np.float32)
        expected = (len(rows.places), self._width)
        if vectors.shape != expected or not np.isfinite(vectors).all():
            raise TrainingFailedError(
                "the model's vectors are not finite numbers, or not one vector per row",
                expected=f"finite numbers of shape {expected}",
                received=f"shape {vectors.shape}, {int((~np.isfinite(vectors)).sum())} not finite",
                remedy="training has diverged: lower train.optimizer.learning_rate, or evaluate an earlier checkpoint",
            )
        return vectors


@dataclass(frozen=True)
class _Way:
    """From one modality to the other, of P pairs and M candidates."""

    candidates: Integers
    """(M,): position of the first row with each candidate."""
    right: sparse.csr_matrix
    """(P, M): right candidates of each pair."""
    ranked: Ranked
    queries: npt.NDArray[np.float32]
    """(N, D): of all rows, those that are no pair among them."""
    vectors: npt.NDArray[np.float32]
    """(M, D)"""


@dataclass(frozen=True)
class _Distinct:
    """Values that differ, in the order in which they come first."""

    first: Integers
    """Position of the first of each."""
    number: Integers
    """(N,): which one each row has; -1 for none."""


def _distinct(keys: Sequence[bytes | None]) -> _Distinct:
    numbers: dict[bytes, int] = {}
    first: list[int] = []
    number = np.full(len(keys), -1, np.int64)
    for position, key in enumerate(keys):
        if key is None:
            continue
        if key not in numbers:
            numbers[key] = len(first)
            first.append(position)
        number[position] = numbers[key]
    return _Distinct(np.array(first, np.int64), number)


def _digest(data: bytes | None) -> bytes | None:
    return None if data is None else hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


def _recall(sums: Floats, *, column: int) -> Floats:
    return sums[:, column] / sums[:, 0]


def _mean_recall(sums: Floats) -> Floats:
    recall: Floats = sums[:, 1 : 1 + len(WAYS) * len(PLACES)].mean(axis=1) / sums[:, 0]
    return recall


def _median_rank(sums: Floats, *, first: int, ranks: Integers) -> Floats:
    return median_rank_of(sums[:, first : first + len(ranks)], ranks)
