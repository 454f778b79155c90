"""Keeps the worst answers of an evaluation, with their pictures."""

import heapq
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mmdist.data.batches import Batch
from mmdist.evaluation.paths import MISTAKES
from mmdist.evaluation.row_texts import TEXT_CHARACTERS
from mmdist.storage import Store

__all__ = ["MISTAKES_SCHEMA", "Answer", "MistakeKeeper", "small_picture"]

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


@dataclass(frozen=True)
class Answer:
    """One row's answer beside the truth, in words."""

    label: str
    predicted: str
    confidence: float | None = None
    """The model's probability of what it answered, where it gives one."""
    label_probability: float | None = None
    """Its probability of the truth."""


@dataclass(order=True)
class _Mistake:
    badness: float
    # Of equally bad ones the earlier row is kept, so that the choice repeats.
    negative_row: int
    facts: dict[str, Any] = field(compare=False)


class MistakeKeeper:
    """Keeps the `limit` worst answers among those it is shown."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[_Mistake] = []

    def worst(self, badness: npt.NDArray[np.floating]) -> list[int]:
        """Of answers (N,), the positions of those that may be kept, the worst first; 0 and below is no mistake."""
        wrong = np.flatnonzero(badness > 0)
        order: list[int] = wrong[np.argsort(-badness[wrong], kind="stable")][: self._limit].tolist()
        return order

    def offer(self, batch: Batch, place: int, text: str | None, badness: float, answer: Answer) -> bool:
        """Takes the row at a place of a batch; False where it is not bad enough."""
        mistake = _Mistake(badness, -int(batch.row[place]), {})
        if len(self._heap) == self._limit and mistake < self._heap[0]:
            return False
        mistake.facts = {
            "row": int(batch.row[place]),
            "id": batch.ids[place],
            "label": answer.label,
            "predicted": answer.predicted,
            "confidence": answer.confidence,
            "label_probability": answer.label_probability,
            "text": None if text is None else text[:TEXT_CHARACTERS],
            "image": small_picture(batch, place),
        }
        if len(self._heap) == self._limit:
            heapq.heapreplace(self._heap, mistake)
        else:
            heapq.heappush(self._heap, mistake)
        return True

    def write(self, run: Store) -> None:
        """Writes report/mistakes.parquet, the worst first."""
        rows = [mistake.facts for mistake in sorted(self._heap, reverse=True)]
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, schema=MISTAKES_SCHEMA), sink, write_page_checksum=True)
        run.write_bytes(MISTAKES, memoryview(sink.getvalue()))


def small_picture(batch: Batch, place: int) -> bytes | None:
    """The picture as the model saw it, as PNG of at most 192 pixels a side; None where there is none."""
    if batch.image is None or not batch.image_present[place]:
        return None
    picture = Image.fromarray(batch.image[place])
    picture.thumbnail((_PICTURE_SIDE_PX, _PICTURE_SIDE_PX))
    data = io.BytesIO()
    picture.save(data, format="PNG", optimize=True)
    return data.getvalue()
