"""Rows to a batch: pictures decoded in threads into one array, bad rows masked with their reasons."""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmdist.data.batches import BadRow, Batch, LedgerDelta
from mmdist.data.content import HashedColumns, sum_hashes
from mmdist.data.decode import decode_images
from mmdist.data.image_buffers import ImageBuffers
from mmdist.data.labels import LabelEncoder
from mmdist.data.prepare import RowOrigin, prepare_rows
from mmdist.data.rows import ObjectArray, RowBlock
from mmdist.data.tokenizer import Tokenizer
from mmdist.spec.data import ColumnsSpec

__all__ = ["Collator", "PendingBatch"]

_PIXELS_PER_TASK = 64 * 64 * 64
"""About 2 ms of decoding: a task for less costs more in handing over than it gains."""


@dataclass(frozen=True)
class Collator:
    """Turns rows into batches. It holds no threads and no data, and may be pickled.

    Args:
        columns: Which column plays which part; a part that is None is not read.
        image_size: Height and width of the batch's pictures; needed where pictures are read.
        max_pixels: Largest picture, by its header, that is decoded.
        tokenizer: Needed where texts are read.
        labels: The labels by index; without them `Batch.label` is None and no label is bad.
        threads: Threads that `collate` decodes with.
    """

    columns: ColumnsSpec
    image_size: tuple[int, int] | None = None
    max_pixels: int = 50_000_000
    tokenizer: Tokenizer | None = None
    labels: tuple[str, ...] | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        if self.columns.image is not None and self.image_size is None:
            raise ValueError("a collator that reads pictures needs image_size")
        if self.columns.text is not None and self.tokenizer is None:
            raise ValueError("a collator that reads texts needs a tokenizer")

    @property
    def read_columns(self) -> ColumnsSpec:
        """The columns that are read: without labels, not the label's."""
        return self.columns if self.labels is not None else self.columns.model_copy(update={"label": None})

    def prepare(self, table: pa.Table, origin: RowOrigin, *, hashed: HashedColumns | None = None) -> RowBlock:
        """All of a row group but its pictures. Raises DataRefusedError where a column cannot play its part."""
        labels = None if self.labels is None else LabelEncoder(self.labels)
        return prepare_rows(table, self.columns, origin, tokenizer=self.tokenizer, labels=labels, hashed=hashed)

    def tasks(self, size: int) -> int:
        """Tasks in which the pictures of a batch of so many places are decoded; each has at least one picture."""
        height, width = self.image_size or (0, 0)
        return max(1, min(size * height * width // _PIXELS_PER_TASK, size))

    def start(
        self, index: int, rows: RowBlock, pool: ThreadPoolExecutor, *, buffers: ImageBuffers | None = None
    ) -> "PendingBatch":
        """Starts a batch: its pictures are decoded by the pool, into one of the buffers where there are some."""
        return PendingBatch(self, index, rows, pool, buffers or ImageBuffers(0))

    def collate(
        self, table: pa.Table, *, size: int | None = None, index: int = 0, origin: RowOrigin | None = None
    ) -> Batch:
        """A table as one batch, in the table's order, padded to `size` places.

        Args:
            table: n rows with the columns that are read.
            size: B, at least n; by default n.
            index: Number of the batch.
            origin: Where the rows come from, for the names of rows without an id and for `Batch.row`.

        Raises:
            DataRefusedError: where a column is missing or cannot play its part. A bad row raises nothing.
        """
        rows = self.prepare(table, origin or RowOrigin())
        if size is not None and size != len(rows):
            numbers = np.arange(len(rows), dtype=np.int64)
            padded = RowBlock.padding(size, like=rows)
            padded.put(numbers, rows, numbers)
            rows = padded
        with ThreadPoolExecutor(self.threads, thread_name_prefix="mmdist-decode") as pool:
            return self.start(index, rows, pool).finish()


class PendingBatch:
    """A batch whose pictures are being decoded into its array."""

    def __init__(
        self, collator: Collator, index: int, rows: RowBlock, pool: ThreadPoolExecutor, buffers: ImageBuffers
    ) -> None:
        self._rows = rows
        self._index = index
        self._image_column = collator.columns.image or ""
        self._image: npt.NDArray[np.uint8] | None = None
        self._decoding: list[Future[_Decoded]] = []
        self.decode_s = 0.0
        """Seconds that threads have decoded for; known when the batch is finished."""
        if rows.images is not None and collator.image_size is not None:
            self._image = buffers.take((len(rows), *collator.image_size, 3))
            self._decode(rows.images, self._image, collator, pool)

    def finish(self) -> Batch:
        """Waits for the decoding and gives the batch. Called once: it lets go of the encoded pictures."""
        rows = self._rows
        for future in self._decoding:
            decoded = future.result()
            self.decode_s += decoded.seconds
            for place, reason in decoded.bad:
                rows.reasons[place] = (self._image_column, reason)
        image_present = np.zeros(len(rows), np.bool_)
        if rows.images is not None:
            image_present = rows.images != None  # noqa: E711 - elementwise
            rows.images[:] = None
        is_bad = rows.reasons != None  # noqa: E711 - elementwise
        mask = (rows.row >= 0) & ~is_bad
        bad = np.flatnonzero(is_bad)
        if len(bad):
            for values in (self._image, rows.text, rows.label, image_present, rows.text_present):
                if values is not None:
                    values[bad] = 0
        return Batch(
            index=self._index,
            image=self._image,
            image_present=image_present,
            text=rows.text,
            text_present=rows.text_present,
            label=rows.label,
            mask=mask.astype(np.float32),
            row=rows.row,
            ids=rows.ids.tolist(),
            bad=[self._bad_row(place) for place in bad.tolist()],
            ledger=LedgerDelta(
                int(np.count_nonzero(mask)), _sums(rows, mask), len(bad), _sums(rows, is_bad) if len(bad) else {}
            ),
        )

    def _decode(
        self, images: ObjectArray, out: npt.NDArray[np.uint8], collator: Collator, pool: ThreadPoolExecutor
    ) -> None:
        wanted = [
            (place, data)
            for place, (data, reason) in enumerate(zip(images.tolist(), self._rows.reasons.tolist(), strict=True))
            if data is not None and reason is None
        ]
        if len(wanted) < len(images):
            out[images == None] = 0  # noqa: E711 - elementwise
        step = -(-len(images) // collator.tasks(len(images)))
        self._decoding = [
            pool.submit(_decode_pictures, wanted[start : start + step], out, collator.max_pixels)
            for start in range(0, len(wanted), step)
        ]

    def _bad_row(self, place: int) -> BadRow:
        rows = self._rows
        column, reason = rows.reasons[place]
        return BadRow(rows.shard[place], int(rows.shard_row[place]), rows.ids[place], column, reason)


class _Decoded(NamedTuple):
    bad: list[tuple[int, str]]
    seconds: float


def _decode_pictures(wanted: Sequence[tuple[int, memoryview]], out: npt.NDArray[np.uint8], max_pixels: int) -> _Decoded:
    start = time.perf_counter()
    bad = decode_images(wanted, out, max_pixels=max_pixels)
    return _Decoded(bad, time.perf_counter() - start)


def _sums(rows: RowBlock, which: npt.NDArray[np.bool_]) -> dict[str, int]:
    if which.all():
        return {name: sum_hashes(values) for name, values in rows.sums.items()}
    return {name: sum_hashes(values[which]) for name, values in rows.sums.items()}
