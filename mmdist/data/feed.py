"""Reads ahead: turns the places of batches into blocks of rows, while a pool reads the row groups that come next.

A feed holds what its order needs at a time (a window per lane and the next one, or a bounded cache), whatever the
size of the dataset.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmdist.data.collate import Collator
from mmdist.data.dataset import Dataset
from mmdist.data.in_place import images_in_place
from mmdist.data.order_lanes import LanesPlan, LaneWindow
from mmdist.data.places import Places
from mmdist.data.prepare import RowOrigin, hash_images, image_views
from mmdist.data.rows import ObjectArray, RowBlock

__all__ = ["CachedFeed", "Feed", "GroupReader", "LanesFeed"]

_CACHE_BYTES = 256 * 1024 * 1024
_IN_PLACE_ROW_BYTES = 768
"""About what a row takes whose picture is not held: its names, a view, sums and a hundred tokens."""


class Feed(Protocol):
    """Gives the rows of batches in order."""

    def take(self, first_batch: int, count: int) -> RowBlock:
        """The places of `count` batches from the next one on, batch by batch; waits for the reading."""


class GroupReader:
    """Reads and prepares row groups in a pool, and keeps the time that it takes.

    Args:
        dataset: Where rows are read.
        collator: How they are prepared.
        pool: Whose threads read.
        in_place: Whether pictures are views of the shards' own bytes where they can be. The sums of all pictures are
            then left for `hash_images`.
    """

    def __init__(
        self, dataset: Dataset, collator: Collator, pool: ThreadPoolExecutor, *, in_place: bool = False
    ) -> None:
        self.dataset = dataset
        self.read_s = 0.0
        """Seconds that threads have read for."""
        self.prepare_s = 0.0
        """Seconds that threads have tokenised, looked labels up and hashed for."""
        self.wait_s = 0.0
        """Seconds that batches have waited for a row group."""
        self._collator = collator
        self._pool = pool
        self._held: WeakValueDictionary[int, Future[RowBlock]] = WeakValueDictionary()
        self._hashed = dataset.hashed_columns(collator.read_columns)
        self._columns = list(dataset.columns_to_read(collator.read_columns))
        self._lock = threading.Lock()
        self._image_column = collator.columns.image or ""
        self._in_place = images_in_place(dataset, self._image_column) if in_place and self._image_column else None
        none = dataset.schema.empty_table().select(self._columns)
        self.no_rows = collator.prepare(none, RowOrigin(), hashed=self._hashed)
        """A block of no rows, with the columns that every block has."""

    def start(self, group: int) -> "Future[RowBlock]":
        """Starts to read a row group, unless somebody still holds what this gave before.

        So two lanes between which a small dataset's row group is cut read it once.
        """
        reading = self._held.get(group)
        if reading is None:
            self._held[group] = reading = self._pool.submit(self._read, group)
        return reading

    def wait(self, reading: "Future[RowBlock]") -> RowBlock:
        """The rows of a row group, once they are read. Raises what reading raised."""
        start = time.perf_counter()
        try:
            return reading.result()
        finally:
            self.wait_s += time.perf_counter() - start

    def held_bytes(self, group: int) -> int:
        """About what a row group takes in memory, once it is read."""
        rows, stored = int(self.dataset.index.rows[group]), int(self.dataset.index.bytes[group])
        return rows * _IN_PLACE_ROW_BYTES if self._in_place is not None and self._in_place.has(group) else stored

    def finish(self, block: RowBlock) -> None:
        """Adds to a block's sums what reading has left out."""
        if self._in_place is not None:
            hash_images(block, self._image_column)

    def _read(self, group: int) -> RowBlock:
        index = self.dataset.index
        start = time.perf_counter()
        table, images = self._read_in_place(group) if self._in_place is not None else (self._read_all(group), None)
        read = time.perf_counter()
        origin = RowOrigin(
            index.shard_name(group), int(index.first_shard_rows[group]), int(index.first_rows[group]), group
        )
        rows = self._collator.prepare(table, origin, hashed=self._hashed, images=images)
        with self._lock:
            self.read_s += read - start
            self.prepare_s += time.perf_counter() - read
        return rows

    def _read_all(self, group: int) -> pa.Table:
        return self.dataset.read_row_group(group, self._columns)

    def _read_in_place(self, group: int) -> tuple[pa.Table, ObjectArray]:
        """The row group's other columns, and its pictures."""
        assert self._in_place is not None
        others = [name for name in self._columns if name != self._image_column]
        images = self._in_place.views(group)
        if images is not None:
            return self.dataset.read_row_group(group, others), images
        table = self._read_all(group)
        images = image_views(table.column(self._image_column))
        self._in_place.locate(group, images)
        located = self._in_place.views(group)
        return table.select(others), images if located is None else located


class LanesFeed:
    """Of each lane, holds the window that batches are taken from, and reads the next one meanwhile."""

    def __init__(self, plan: LanesPlan, lanes: range, start_batch: int, reader: GroupReader) -> None:
        self._plan = plan
        self._no_rows = reader.no_rows
        self._lanes = [_Lane(plan, lane, start_batch, reader) for lane in lanes]

    def take(self, first_batch: int, count: int) -> RowBlock:
        """See `Feed`. The places of a batch are lane by lane."""
        lane_places = self._plan.lane_places
        batch_places = len(self._lanes) * lane_places
        numbers = np.arange(count * lane_places)
        places = numbers // lane_places * batch_places + numbers % lane_places
        block = RowBlock.padding(count * batch_places, like=self._no_rows)
        for number, lane in enumerate(self._lanes):
            done = 0
            while done < len(places) and (part := lane.take(len(places) - done)) is not None:
                for rows, found, at in part:
                    block.put(places[done + at] + number * lane_places, rows, found)
                done += sum(len(at) for _, _, at in part)
        return block


_Part = list[tuple[RowBlock, npt.NDArray[np.int64], npt.NDArray[np.int64]]]


class _Lane:
    def __init__(self, plan: LanesPlan, lane: int, start_batch: int, reader: GroupReader) -> None:
        self._windows = plan.lane_windows(lane, start_batch)
        self._reader = reader
        self._window: LaneWindow | None = None
        self._position = 0
        self._reading: dict[int, Future[RowBlock]] = {}
        self._rows: dict[int, RowBlock] = {}
        self._ahead: tuple[LaneWindow, int, dict[int, Future[RowBlock]]] | None = None
        self._read_ahead()

    def _read_ahead(self) -> None:
        """Starts to read the next window, unless that is done already."""
        if self._ahead is None and (entry := next(self._windows, None)) is not None:
            window, skip = entry
            self._ahead = window, skip, {group: self._reader.start(group) for group in window.groups.tolist()}

    def take(self, most: int) -> _Part | None:
        """Rows in order, at most so many and at least one: blocks, numbers in them, places. None at the end."""
        while self._window is None or self._position == len(self._window):
            # Let go of the old window before the next one is waited for.
            self._window, self._reading, self._rows = None, {}, {}
            if self._ahead is None:
                return None
            self._window, self._position, self._reading = self._ahead
            self._rows = {group: self._reader.wait(future) for group, future in self._reading.items()}
            self._ahead = None
            self._read_ahead()
        part = slice(self._position, self._position + most)
        groups, numbers = self._window.group[part], self._window.row[part]
        self._position += len(groups)
        if len(self._rows) == 1:
            return [(rows, numbers, np.arange(len(numbers))) for rows in self._rows.values()]
        found = ((rows, np.flatnonzero(groups == group)) for group, rows in self._rows.items())
        return [(rows, numbers[at], at) for rows, at in found if len(at)]


class CachedFeed:
    """Takes rows from anywhere; row groups are kept, the least recently used let go, within 256 MiB."""

    def __init__(self, places: Callable[[int], Places], batches: int, reader: GroupReader) -> None:
        self._places = places
        self._batches = batches
        self._reader = reader
        self._cache: OrderedDict[int, Future[RowBlock]] = OrderedDict()

    def take(self, first_batch: int, count: int) -> RowBlock:
        """See `Feed`."""
        groups, numbers = self._find(first_batch, count)
        needed = np.unique(groups[groups >= 0]).tolist()
        ahead, _ = self._find(first_batch + count, count)
        for group in [*needed, *np.unique(ahead[ahead >= 0]).tolist()]:
            self._request(group)
        block = RowBlock.padding(len(groups), like=self._reader.no_rows)
        for group in needed:
            rows = self._reader.wait(self._request(group))
            at = np.flatnonzero(groups == group)
            block.put(at, rows, numbers[at])
        self._reader.finish(block)
        self._shrink()
        return block

    def _find(self, first_batch: int, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        batches = range(first_batch, min(first_batch + count, self._batches))
        found = [self._places(batch) for batch in batches]
        empty = [np.empty(0, np.int64)]
        return (
            np.concatenate([places.group for places in found] or empty),
            np.concatenate([places.row for places in found] or empty),
        )

    def _request(self, group: int) -> "Future[RowBlock]":
        if group in self._cache:
            self._cache.move_to_end(group)
        else:
            self._cache[group] = self._reader.start(group)
        return self._cache[group]

    def _shrink(self) -> None:
        held = sum(self._reader.held_bytes(group) for group in self._cache)
        while held > _CACHE_BYTES and len(self._cache) > 1:
            group, _ = self._cache.popitem(last=False)
            held -= self._reader.held_bytes(group)
