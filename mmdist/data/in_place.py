"""Pictures read in place: views of a local shard's own bytes, so that any row is at hand without its row group.

Where the column is stored uncompressed and plain, a picture's bytes lie verbatim in the file. They are looked for once
per row group, against the values that Arrow has read with its checksums; what is kept is 16 bytes a row. Every later
read is a view of the mapped file, and what it shows is hashed before it is fed: the content ledger meets what changed.
"""

import mmap
import struct
import threading
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from mmdist.data.dataset import Dataset
from mmdist.data.rows import ObjectArray

__all__ = ["InPlaceImages", "images_in_place"]

_PLAIN = {"PLAIN", "RLE", "BIT_PACKED"}
_MOST_SHARDS = 256
"""Shards that are mapped at a time, each with a file descriptor; a dataset of more is read by row groups."""
_NULL = -1

Int64Array = npt.NDArray[np.int64]

_open: "WeakKeyDictionary[Dataset, dict[str, InPlaceImages]]" = WeakKeyDictionary()


def images_in_place(dataset: Dataset, column: str) -> "InPlaceImages":
    """The pictures of a column in place. What was located serves every epoch, as long as the dataset is open."""
    columns = _open.setdefault(dataset, {})
    return columns.setdefault(column, InPlaceImages(dataset, column))


class InPlaceImages:
    """The pictures of a dataset's column, in place where they lie so. Safe to use from several threads."""

    def __init__(self, dataset: Dataset, column: str) -> None:
        self._store, self._index, self._readers = dataset.store, dataset.index, dataset.readers
        self._column = column
        self._can_map = dataset.store.is_local and len(dataset.index.shards) <= _MOST_SHARDS
        self._places: dict[int, tuple[Int64Array, Int64Array] | None] = {}
        self._files: dict[str, memoryview] = {}
        self._lock = threading.Lock()

    def has(self, group: int) -> bool:
        """Whether the row group's pictures were located."""
        return self._places.get(group) is not None

    def views(self, group: int) -> ObjectArray | None:
        """The row group's pictures as views of the file, None for null; None where they were not located."""
        places = self._places.get(group)
        if places is None:
            return None
        whole = self._file(self._index.shard_name(group))
        found = np.full(len(places[0]), None, np.object_)
        for row, (start, length) in enumerate(zip(places[0].tolist(), places[1].tolist(), strict=True)):
            if length != _NULL:
                found[row] = whole[start : start + length]
        return found

    def locate(self, group: int, images: ObjectArray) -> None:
        """Looks for a row group's pictures in its shard, unless that was done or they cannot lie there verbatim.

        Args:
            group: Number of the row group in the dataset's index.
            images: (n,) its pictures as Arrow has read them, memoryviews; None for null.
        """
        if group in self._places or not self._can_map:
            return
        shard = self._index.shard_name(group)
        with self._readers.borrow(shard) as reader:
            bounds = self._chunk(reader, int(self._index.row_group[group]))
        # Threads that look at once find the same.
        self._places[group] = None if bounds is None else _find(self._file(shard), *bounds, images)

    def _chunk(self, reader: pq.ParquetFile, row_group: int) -> tuple[int, int] | None:
        """Where the column's pages begin and end; None where a value's bytes are not in them as they are."""
        group = reader.metadata.row_group(row_group)
        names = [group.column(number).path_in_schema for number in range(group.num_columns)]
        column = group.column(names.index(self._column))
        is_plain = column.compression == "UNCOMPRESSED" and not column.has_dictionary_page
        if not is_plain or not set(column.encodings) <= _PLAIN:
            return None
        return column.data_page_offset, column.data_page_offset + column.total_compressed_size

    def _file(self, shard: str) -> memoryview:
        with self._lock:
            if shard not in self._files:
                with (Path(self._store.root) / shard).open("rb") as file:
                    self._files[shard] = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            return self._files[shard]


def _find(file: memoryview, start: int, end: int, images: ObjectArray) -> tuple[Int64Array, Int64Array] | None:
    """Offsets and lengths of values that follow each other, each after its length; None where one is not found."""
    mapped = file.obj
    assert isinstance(mapped, mmap.mmap)
    starts = np.zeros(len(images), np.int64)
    lengths = np.full(len(images), _NULL, np.int64)
    for row, image in enumerate(images.tolist()):
        if image is None:
            continue
        # Pages begin with headers of some tens of bytes, which are passed over here.
        at = mapped.find(struct.pack("<I", image.nbytes) + bytes(image), start, end)
        if at < 0:
            return None
        starts[row], lengths[row] = at + 4, image.nbytes
        start = at + 4 + image.nbytes
    return starts, lengths
