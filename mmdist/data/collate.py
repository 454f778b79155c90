"""Rows to a batch: pictures decoded in threads into one array, bad rows masked with their reasons."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmdist.data.audio import AudioEncoder
from mmdist.data.batches import BadRow, Batch, LedgerDelta
from mmdist.data.content import HashedColumns
from mmdist.data.decode import decode_images
from mmdist.data.image_buffers import ImageBuffers
from mmdist.data.prepare import RowOrigin, prepare_rows
from mmdist.data.rows import ObjectArray, RowBlock
from mmdist.data.tabular import TabularEncoder
from mmdist.data.targets import Target
from mmdist.data.tokenizer import Tokenizer
from mmdist.spec.audio import AudioSpec
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
        tabular: Needed where the fields of records are read.
        audio: Needed where recordings are read.
        target: What labels become; without it `Batch.label` is None and no label is bad.
        threads: Threads that `collate` decodes with.
    """

    columns: ColumnsSpec
    image_size: tuple[int, int] | None = None
    max_pixels: int = 50_000_000
    tokenizer: Tokenizer | None = None
    tabular: TabularEncoder | None = None
    audio: AudioSpec | None = None
    target: Target | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        if self.columns.image is not None and self.image_size is None:
            raise ValueError("a collator that reads pictures needs image_size")
        if self.columns.text is not None and self.tokenizer is None:
            raise ValueError("a collator that reads texts needs a tokenizer")
        if self.columns.tabular is not None and self.tabular is None:
            raise ValueError("a collator that reads the fields of records needs their encoder")
        if self.columns.audio is not None and self.audio is None:
            raise ValueError("a collator that reads recordings needs to know how")

    @property
    def read_columns(self) -> ColumnsSpec:
        """The columns that are read: without a target, not the label's."""
        return self.columns if self.target is not None else self.columns.model_copy(update={"label": None})

    def prepare(
        self,
        table: pa.Table,
        origin: RowOrigin,
        *,
        hashed: HashedColumns | None = None,
        images: ObjectArray | None = None,
    ) -> RowBlock:
        """All of a row group but its pictures: see `prepare_rows`.

        Raises:
            DataRefusedError: where a column cannot play its part.
        """
        return prepare_rows(
            table,
            self.columns,
            origin,
            tokenizer=self.tokenizer,
            tabular=self.tabular if self.columns.tabular is not None else None,
            audio=AudioEncoder(self.audio) if self.columns.audio is not None and self.audio is not None else None,
            target=self.target,
            hashed=hashed,
            images=images,
        )

    def tasks(self, size: int) -> int:
        """Tasks in which the pictures of a batch of so many places are decoded; each has at least one picture."""
        height, width = self.image_size or (0, 0)
        return max(1, min(size * height * width // _PIXELS_PER_TASK, size))

    def start(
        self,
        index: int,
        rows: RowBlock,
        pool: ThreadPoolExecutor,
        *,
        locate: Callable[[int], tuple[str, int]],
        buffers: ImageBuffers | None = None,
    ) -> "PendingBatch":
        """Starts a batch: its pictures are decoded by the pool.

        Args:
            index: Number of the batch.
            rows: Its places.
            pool: Whose threads decode.
            locate: The shard of a row and its number there, by its number in the dataset; asked for bad rows alone.
            buffers: Where the memory for the pictures is taken from.
        """
        return PendingBatch(self, index, rows, pool, locate, buffers or ImageBuffers(0))

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
        origin = origin or RowOrigin()
        rows = self.prepare(table, origin)
        if size is not None and size != len(rows):
            numbers = np.arange(len(rows), dtype=np.int64)
            padded = RowBlock.padding(size, like=rows)
            padded.put(numbers, rows, numbers)
            rows = padded
        with ThreadPoolExecutor(self.threads, thread_name_prefix="mmdist-decode") as pool:
            return self.start(index, rows, pool, locate=origin.locate).finish()


class PendingBatch:
    """A batch whose pictures are being decoded into its array."""

    def __init__(
        self,
        collator: Collator,
        index: int,
        rows: RowBlock,
        pool: ThreadPoolExecutor,
        locate: Callable[[int], tuple[str, int]],
        buffers: ImageBuffers,
    ) -> None:
        self._rows = rows
        self._index = index
        self._image_column = collator.columns.image or ""
        self._locate = locate
        self._image: npt.NDArray[np.uint8] | None = None
        self._image_present = np.zeros(len(rows), np.bool_)
        self._bad = _known_bad(rows)
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
                shard, number = self._locate(int(rows.row[place]))
                self._bad[place] = BadRow(shard, number, rows.ids[place], self._image_column, reason)
        if rows.images is not None:
            rows.images[:] = None
        mask = rows.row >= 0
        bad = sorted(self._bad)
        if bad:
            mask[bad] = False
            for values in (
                *(self._image, rows.text, rows.label, self._image_present, rows.text_present),
                *rows.fields.values(),
            ):
                if values is not None:
                    values[bad] = 0
        return Batch(
            index=self._index,
            image=self._image,
            image_present=self._image_present,
            text=rows.text,
            text_present=rows.text_present,
            label=rows.label,
            fields=rows.fields,
            mask=mask.astype(np.float32),
            row=rows.row,
            ids=rows.ids.tolist(),
            bad=[self._bad[place] for place in bad],
            ledger=_ledger(rows, mask, bad),
        )

    def _decode(
        self, images: ObjectArray, out: npt.NDArray[np.uint8], collator: Collator, pool: ThreadPoolExecutor
    ) -> None:
        wanted = [(place, data) for place, data in enumerate(images.tolist()) if data is not None]
        if len(wanted) == len(images):
            self._image_present[:] = True
        else:
            self._image_present[[place for place, _ in wanted]] = True
            out[~self._image_present] = 0
        if self._bad:
            wanted = [(place, data) for place, data in wanted if place not in self._bad]
        step = -(-len(images) // collator.tasks(len(images)))
        self._decoding = [
            pool.submit(_decode_pictures, wanted[start : start + step], out, collator.max_pixels)
            for start in range(0, len(wanted), step)
        ]


def _known_bad(rows: RowBlock) -> dict[int, BadRow]:
    """By place, the rows that are bad whatever their pictures are."""
    if not rows.bad:
        return {}
    return {place: rows.bad[row] for place, row in enumerate(rows.row.tolist()) if row in rows.bad}


def _ledger(rows: RowBlock, mask: npt.NDArray[np.bool_], bad: list[int]) -> LedgerDelta:
    fed = int(np.count_nonzero(mask))
    if not bad:  # padding adds nothing to a sum
        return LedgerDelta(fed, _sums(rows, rows.sums))
    return LedgerDelta(fed, _sums(rows, rows.sums[:, mask]), len(bad), _sums(rows, rows.sums[:, bad]))


def _sums(rows: RowBlock, values: npt.NDArray[np.uint64]) -> dict[str, int]:
    return dict(zip(rows.summed, np.add.reduce(values, axis=1).tolist(), strict=True))


class _Decoded(NamedTuple):
    bad: list[tuple[int, str]]
    seconds: float


def _decode_pictures(wanted: Sequence[tuple[int, memoryview]], out: npt.NDArray[np.uint8], max_pixels: int) -> _Decoded:
    start = time.perf_counter()
    bad = decode_images(wanted, out, max_pixels=max_pixels)
    return _Decoded(bad, time.perf_counter() - start)
