"""Writes what the model said of each row, and keeps its most confident mistakes with their pictures."""

import heapq
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mmdist.data.batches import Batch
from mmdist.data.dataset import Dataset
from mmdist.data.values import text_values
from mmdist.evaluation.paths import MISTAKES
from mmdist.evaluation.scores import RowScores
from mmdist.storage import Store

__all__ = ["MISTAKES_SCHEMA", "MistakeKeeper", "RowTexts", "predictions_schema", "predictions_table"]

_TEXT_CHARACTERS = 300
_PICTURE_SIDE_PX = 192

_MISTAKE_COLUMNS: dict[str, pa.DataType] = {
    "row": pa.int64(),
    "id": pa.string(),
    "label": pa.string(),
    "predicted": pa.string(),
    "confidence": pa.float32(),
    "label_probability": pa.float32(),
    "text": pa.string(),
    "image": pa.binary(),
}
MISTAKES_SCHEMA = pa.schema(_MISTAKE_COLUMNS)

_PREDICTION_COLUMNS: dict[str, pa.DataType] = {
    "row": pa.int64(),
    "id": pa.string(),
    "label": pa.string(),
    "predicted": pa.string(),
    "confidence": pa.float32(),
    "probabilities": pa.list_(pa.float32()),
    "text": pa.string(),
}


def predictions_schema(labels: Sequence[str]) -> pa.Schema:
    """Columns of predictions.parquet; the labels, in the order of `probabilities`, are in its metadata."""
    return pa.schema(
        _PREDICTION_COLUMNS,
        metadata={"mmdist": json.dumps({"version": 1, "labels": list(labels)})},
    )


def predictions_table(
    labels: Sequence[str],
    scores: RowScores,
    probabilities: npt.NDArray[np.floating],
    *,
    rows: npt.NDArray[np.int64],
    ids: Sequence[str | None],
    texts: Sequence[str | None],
) -> pa.Table:
    """A batch's rows as a table of predictions.parquet.

    Args:
        labels: C names.
        scores: N rows.
        probabilities: (N, C) floating.
        rows: (N,): numbers within the dataset.
        ids: N names.
        texts: N texts, None where there is none; their first 300 characters are kept.
    """
    names = pa.array(labels, pa.string())
    offsets = np.arange(len(scores) + 1, dtype=np.int32) * len(labels)
    values = pa.array(probabilities.astype(np.float32).reshape(-1), pa.float32())
    columns: list[pa.Array[Any]] = [
        pa.array(rows, pa.int64()),
        pa.array(ids, pa.string()),
        names.take(pa.array(scores.truth, pa.int32())),
        names.take(pa.array(scores.predicted, pa.int32())),
        pa.array(scores.confidence, pa.float32()),
        pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values),
        pa.array([None if text is None else text[:_TEXT_CHARACTERS] for text in texts], pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=predictions_schema(labels))


class RowTexts:
    """Texts by row number, for rows asked for in storage order; it holds one row group's texts at a time."""

    def __init__(self, dataset: Dataset, column: str | None) -> None:
        self._dataset = dataset
        self._column = column
        self._first_row = np.concatenate([[0], np.cumsum(dataset.index.rows)])
        self._group = -1
        self._texts: list[str | None] = []

    def of(self, rows: npt.NDArray[np.int64]) -> list[str | None]:
        """The texts of rows (N,), None where a row or the dataset has none."""
        if self._column is None:
            return [None] * len(rows)
        texts = []
        for row in rows.tolist():
            group = int(np.searchsorted(self._first_row, row, side="right")) - 1
            if group != self._group:
                # A text that is no UTF-8 is None: its row has been set aside.
                self._texts, _ = text_values(self._dataset.read_row_group(group, [self._column]).column(0))
                self._group = group
            texts.append(self._texts[row - int(self._first_row[group])])
        return texts


@dataclass(order=True)
class _Mistake:
    confidence: float
    # Of equal confidence the earlier row is kept, so that the choice repeats.
    negative_row: int
    facts: dict[str, Any] = field(compare=False)


class MistakeKeeper:
    """Keeps the `limit` most confident mistakes among the rows it is shown."""

    def __init__(self, labels: Sequence[str], limit: int) -> None:
        self._labels = labels
        self._limit = limit
        self._heap: list[_Mistake] = []

    def add(self, batch: Batch, places: npt.NDArray[np.int64], scores: RowScores, texts: Sequence[str | None]) -> None:
        """Takes the rows at N places of a batch, with their scores and texts."""
        wrong = np.flatnonzero(~scores.correct)
        for position in wrong[np.argsort(-scores.confidence[wrong], kind="stable")][: self._limit]:
            place = int(places[position])
            mistake = _Mistake(float(scores.confidence[position]), -int(batch.row[place]), {})
            if len(self._heap) == self._limit and mistake < self._heap[0]:
                return
            mistake.facts = {
                "row": int(batch.row[place]),
                "id": batch.ids[place],
                "label": self._labels[scores.truth[position]],
                "predicted": self._labels[scores.predicted[position]],
                "confidence": mistake.confidence,
                "label_probability": float(scores.truth_probability[position]),
                "text": None if texts[position] is None else str(texts[position])[:_TEXT_CHARACTERS],
                "image": _picture(batch, place),
            }
            if len(self._heap) == self._limit:
                heapq.heapreplace(self._heap, mistake)
            else:
                heapq.heappush(self._heap, mistake)

    def write(self, run: Store) -> None:
        """Writes report/mistakes.parquet, the most confident first."""
        rows = [mistake.facts for mistake in sorted(self._heap, reverse=True)]
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, schema=MISTAKES_SCHEMA), sink, write_page_checksum=True)
        run.write_bytes(MISTAKES, memoryview(sink.getvalue()))


def _picture(batch: Batch, place: int) -> bytes | None:
    """The picture as the model saw it, as PNG of at most 192 pixels a side; None where there is none."""
    if batch.image is None or not batch.image_present[place]:
        return None
    picture = Image.fromarray(batch.image[place])
    picture.thumbnail((_PICTURE_SIDE_PX, _PICTURE_SIDE_PX))
    data = io.BytesIO()
    picture.save(data, format="PNG", optimize=True)
    return data.getvalue()
