"""Prepared rows to a batch: pictures decoded in threads into one array, bad rows masked with their reasons."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmdist.data.batches import BadRow, Batch, LedgerDelta
from mmdist.data.content import HashedColumns, sum_hashes
from mmdist.data.decode import BadImage, decode_image
from mmdist.data.labels import LabelEncoder
from mmdist.data.prepare import PreparedRows, RowOrigin, prepare_rows
from mmdist.data.tokenizer import Tokenizer
from mmdist.spec.data import ColumnsSpec

__all__ = ["Collator", "PendingBatch", "Piece"]

_MOST_PICTURES_PER_TASK = 32
_TASKS_PER_THREAD = 2


class Piece(NamedTuple):
    """Rows of one prepared row group, and the places in the batch that they take: int64 (k,) each."""

    rows: PreparedRows
    numbers: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]


class _Task(NamedTuple):
    place: int
    data: memoryview


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
    def read_columns(self) -> tuple[str, ...]:
        """Columns of the dataset that are read, each once."""
        label = self.columns.label if self.labels is not None else None
        names = (self.columns.id, self.columns.image, self.columns.text, label)
        return tuple(dict.fromkeys(name for name in names if name is not None))

    def prepare(self, table: pa.Table, origin: RowOrigin, *, hashed: HashedColumns | None = None) -> PreparedRows:
        """All of a row group but its pictures. Raises DataRefusedError where a column cannot play its part."""
        labels = None if self.labels is None else LabelEncoder(self.labels)
        return prepare_rows(table, self.columns, origin, tokenizer=self.tokenizer, labels=labels, hashed=hashed)

    def start(self, index: int, size: int, pieces: Sequence[Piece], pool: ThreadPoolExecutor) -> "PendingBatch":
        """Starts a batch of `size` places; its pictures are decoded by the pool meanwhile."""
        return PendingBatch(self, index, size, pieces, pool)

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
        numbers = np.arange(len(table), dtype=np.int64)
        piece = Piece(self.prepare(table, origin or RowOrigin()), numbers, numbers)
        with ThreadPoolExecutor(self.threads, thread_name_prefix="mmdist-decode") as pool:
            return self.start(index, len(table) if size is None else size, [piece], pool).finish()


class PendingBatch:
    """A batch whose pictures are being decoded."""

    def __init__(
        self, collator: Collator, index: int, size: int, pieces: Sequence[Piece], pool: ThreadPoolExecutor
    ) -> None:
        self._columns = collator.columns
        self._pieces = pieces
        self._index = index
        self._mask = np.zeros(size, np.float32)
        self._row = np.full(size, -1, np.int64)
        self._text_present = np.zeros(size, np.bool_)
        self._image_present = np.zeros(size, np.bool_)
        tokens = collator.tokenizer.tokens if collator.tokenizer and collator.columns.text else None
        self._text = None if tokens is None else np.zeros((size, tokens), np.int32)
        has_label = collator.labels is not None and collator.columns.label is not None
        self._label = np.zeros(size, np.int32) if has_label else None
        self._image: npt.NDArray[np.uint8] | None = None
        if collator.columns.image is not None and collator.image_size is not None:
            self._image = np.zeros((size, *collator.image_size, 3), np.uint8)
        self._ids: list[str | None] = [None] * size
        self._bad: dict[int, tuple[str, str]] = {}
        self._place(pieces)
        self._decoding = self._decode(collator.max_pixels, pool)

    @property
    def futures(self) -> list["Future[list[tuple[int, str]]]"]:
        """The decoding that is still to be waited for."""
        return self._decoding

    def finish(self) -> Batch:
        """Waits for the decoding and gives the batch."""
        for future in self._decoding:
            for place, reason in future.result():
                self._bad[place] = (self._columns.image or "", reason)
        bad_places = np.array(sorted(self._bad), np.int64)
        for values in (self._image, self._text, self._label, self._image_present, self._text_present, self._mask):
            if values is not None:
                values[bad_places] = 0
        return Batch(
            index=self._index,
            image=self._image,
            image_present=self._image_present,
            text=self._text,
            text_present=self._text_present,
            label=self._label,
            mask=self._mask,
            row=self._row,
            ids=self._ids,
            bad=self._bad_rows(),
            ledger=self._ledger(),
        )

    def _place(self, pieces: Sequence[Piece]) -> None:
        for rows, numbers, places in pieces:
            self._mask[places] = 1
            self._row[places] = rows.origin.first_row + numbers
            self._text_present[places] = rows.text_present[numbers]
            if rows.images is not None:
                self._image_present[places] = ~rows.images.null[numbers]
            if self._text is not None and rows.text is not None:
                self._text[places] = rows.text[numbers]
            if self._label is not None and rows.label is not None:
                self._label[places] = rows.label[numbers]
            for number, place in zip(numbers.tolist(), places.tolist(), strict=True):
                self._ids[place] = rows.ids[number]
                if number in rows.reasons:
                    self._bad[place] = rows.reasons[number]

    def _decode(self, max_pixels: int, pool: ThreadPoolExecutor) -> list["Future[list[tuple[int, str]]]"]:
        image = self._image
        if image is None:
            return []
        tasks = [
            _Task(place, rows.images[number])
            for rows, numbers, places in self._pieces
            if rows.images is not None
            for number, place in zip(numbers.tolist(), places.tolist(), strict=True)
            if self._image_present[place] and place not in self._bad
        ]
        threads = pool._max_workers
        step = max(1, min(_MOST_PICTURES_PER_TASK, -(-len(tasks) // (threads * _TASKS_PER_THREAD))))
        return [
            pool.submit(_decode_tasks, tasks[start : start + step], image, max_pixels)
            for start in range(0, len(tasks), step)
        ]

    def _bad_rows(self) -> list[BadRow]:
        where = {
            place: (rows, number)
            for rows, numbers, places in self._pieces
            if self._bad
            for number, place in zip(numbers.tolist(), places.tolist(), strict=True)
        }
        found = []
        for place in sorted(self._bad):
            rows, number = where[place]
            column, reason = self._bad[place]
            found.append(BadRow(rows.origin.shard, rows.shard_row(number), rows.ids[number], column, reason))
        return found

    def _ledger(self) -> LedgerDelta:
        fed, quarantined = _Sums(), _Sums()
        for rows, numbers, places in self._pieces:
            is_fed = self._mask[places] == 1
            fed.add(rows, numbers[is_fed])
            if not is_fed.all():
                quarantined.add(rows, numbers[~is_fed])
        return LedgerDelta(fed.rows, fed.sums, quarantined.rows, quarantined.sums)


class _Sums:
    def __init__(self) -> None:
        self.rows = 0
        self.sums: dict[str, int] = {}

    def add(self, rows: PreparedRows, numbers: npt.NDArray[np.int64]) -> None:
        self.rows += len(numbers)
        for name, values in rows.sums.items():
            self.sums[name] = (self.sums.get(name, 0) + sum_hashes(values[numbers])) % (1 << 64)


def _decode_tasks(tasks: Sequence[_Task], image: npt.NDArray[np.uint8], max_pixels: int) -> list[tuple[int, str]]:
    bad = []
    for place, data in tasks:
        try:
            decode_image(data, image[place], max_pixels=max_pixels)
        except BadImage as error:
            bad.append((place, str(error)))
    return bad
