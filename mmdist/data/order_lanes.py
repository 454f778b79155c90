"""The order `lanes`: row groups are permuted and dealt to lanes that are read side by side. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mmdist.data.permutation import Int64Array, OrderKey, sorted_permutation
from mmdist.data.places import Places

__all__ = ["LaneWindow", "LanesPlan"]


@dataclass(frozen=True, eq=False)
class LaneWindow:
    """The rows of a lane that are shuffled together, n of them, from at most `window` row groups.

    A reader that holds a window's row groups needs nothing else until the next window of the lane begins.
    """

    lane: int
    number: int
    """Windows of the lane before this one."""
    start: int
    """Rows of the lane before this window."""
    groups: Int64Array
    """(k,) the row groups to read. One that is cut between lanes is read by each of them."""
    group: Int64Array
    """(n,) the row group of each row, in the order of the rows."""
    row: Int64Array
    """(n,) the row's number in its row group."""

    def __len__(self) -> int:
        return len(self.row)


class LanesPlan:
    """One epoch in the order `lanes`. Immutable; safe to use from several threads.

    A batch has `global_batch_size` places, lane by lane: lane l has the places from `l * lane_places` on. A worker that
    owns a range of lanes owns one slice of each batch. Batch b takes rows `b * lane_places` and on of every lane; where
    a lane has no more rows its places are padding, which only the last batch has.
    """

    def __init__(
        self, group_rows: Int64Array, key: OrderKey, *, global_batch_size: int, lanes: int, window: int
    ) -> None:
        self.global_batch_size = global_batch_size
        self.lanes = lanes
        self.lane_places = global_batch_size // lanes
        self.window = window
        self._key = key
        filled = np.flatnonzero(group_rows > 0)
        self._groups = filled[sorted_permutation(key.draw(len(filled), "groups"))]
        self._ends = np.cumsum(group_rows[self._groups])
        self.rows = int(self._ends[-1]) if len(self._ends) else 0
        most_rows = -(-self.rows // lanes)
        self.batches = -(-most_rows // self.lane_places)

    def lane_rows(self, lane: int) -> int:
        """Rows of a lane."""
        return self._start(lane + 1) - self._start(lane)

    def batch_rows(self, batch: int) -> int:
        """Rows of a batch, over all lanes."""
        first = batch * self.lane_places
        return sum(min(max(self.lane_rows(lane) - first, 0), self.lane_places) for lane in range(self.lanes))

    def lane_windows(self, lane: int, start_batch: int = 0) -> Iterator[tuple[LaneWindow, int]]:
        """The windows of a lane from the one that holds the first row of a batch on.

        Yields:
            The window, and how many of its first rows lie before `start_batch`: 0 for all windows but the first. The
            rows of the windows, one after another, are the rows of the lane: batch by batch `lane_places` of them.
        """
        lane_start, lane_end = self._start(lane), self._start(lane + 1)
        position = lane_start + start_batch * self.lane_places
        if position >= lane_end:
            return
        first_piece = self._piece_at(lane_start)
        number = (self._piece_at(position) - first_piece) // self.window
        last_piece = self._piece_at(lane_end - 1)
        while first_piece + number * self.window <= last_piece:
            pieces = range(
                first_piece + number * self.window, min(first_piece + (number + 1) * self.window, last_piece + 1)
            )
            window = self._window(lane, number, pieces)
            yield window, max(position - lane_start - window.start, 0)
            number += 1

    def lane_batches(self, lane: int, start_batch: int = 0) -> Iterator[Places]:
        """A lane's part of each batch from one on: `lane_places` rows each, fewer or none in the last."""
        windows = self.lane_windows(lane, start_batch)
        group, row = np.empty(0, np.int64), np.empty(0, np.int64)
        for _ in range(start_batch, self.batches):
            while len(row) < self.lane_places and (entry := next(windows, None)) is not None:
                window, skip = entry
                group = np.concatenate([group, window.group[skip:]])
                row = np.concatenate([row, window.row[skip:]])
            yield Places(group[: self.lane_places], row[: self.lane_places])
            group, row = group[self.lane_places :], row[self.lane_places :]

    def batch_places(self, batch: int, lanes: range) -> Places:
        """The places of some lanes in one batch, `len(lanes) * lane_places` of them; -1 and -1 where it is padding."""
        places = Places.padding(len(lanes) * self.lane_places)
        for number, lane in enumerate(lanes):
            part = next(self.lane_batches(lane, batch))
            start = number * self.lane_places
            places.group[start : start + len(part)] = part.group
            places.row[start : start + len(part)] = part.row
        return places

    def _start(self, lane: int) -> int:
        return lane * self.rows // self.lanes

    def _piece_at(self, position: int) -> int:
        return int(np.searchsorted(self._ends, position, side="right"))

    def _window(self, lane: int, number: int, pieces: range) -> LaneWindow:
        lane_start, lane_end = self._start(lane), self._start(lane + 1)
        groups = self._groups[pieces.start : pieces.stop]
        parts = [self._piece_rows(piece, lane_start, lane_end) for piece in pieces]
        row = np.concatenate(parts)
        group = np.repeat(groups, [len(part) for part in parts])
        order = sorted_permutation(self._key.draw(len(row), "window", lane, number))
        start = max(self._piece_start(pieces.start) - lane_start, 0)
        return LaneWindow(lane, number, start, groups, group[order], row[order])

    def _piece_start(self, piece: int) -> int:
        return int(self._ends[piece - 1]) if piece else 0

    def _piece_rows(self, piece: int, lane_start: int, lane_end: int) -> Int64Array:
        start, end = self._piece_start(piece), int(self._ends[piece])
        if lane_start <= start and end <= lane_end:
            return np.arange(end - start)
        # Both lanes of a cut row group draw the same permutation of its rows and take their part of it.
        shuffled = sorted_permutation(self._key.draw(end - start, "cut", int(self._groups[piece])))
        return shuffled[max(lane_start, start) - start : min(lane_end, end) - start]
