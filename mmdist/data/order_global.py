"""The order `global`: a full permutation of the rows, computed batch by batch. No I/O."""

from collections.abc import Iterator

import numpy as np

from mmdist.data.permutation import Int64Array, OrderKey, WidePermutation
from mmdist.data.places import Places

__all__ = ["GlobalPlan"]


class GlobalPlan:
    """One epoch in the order `global`. Immutable; safe to use from several threads.

    Each place of a batch is a lane of its own, so that a worker that owns a range of lanes owns one slice of each
    batch: place p of batch b holds row `permutation(b * global_batch_size + p)`, or padding at the epoch's end.
    """

    lane_places = 1

    def __init__(self, group_rows: Int64Array, key: OrderKey, *, global_batch_size: int) -> None:
        self.global_batch_size = global_batch_size
        self.lanes = global_batch_size
        self._ends = np.cumsum(group_rows)
        self._starts = self._ends - group_rows
        self.rows = int(self._ends[-1]) if len(self._ends) else 0
        self.batches = -(-self.rows // global_batch_size)
        self._permutation = WidePermutation(key, self.rows)

    def lane_rows(self, lane: int) -> int:
        """Rows of a lane."""
        return max(0, -(-(self.rows - lane) // self.global_batch_size))

    def batch_rows(self, batch: int) -> int:
        """Rows of a batch, over all lanes."""
        return min(max(self.rows - batch * self.global_batch_size, 0), self.global_batch_size)

    def lane_batches(self, lane: int, start_batch: int = 0) -> Iterator[Places]:
        """A lane's part of each batch from one on: one row each, or none in the last."""
        for batch in range(start_batch, self.batches):
            places = self.batch_places(batch, range(lane, lane + 1))
            yield Places(places.group[places.row >= 0], places.row[places.row >= 0])

    def batch_places(self, batch: int, lanes: range) -> Places:
        """The places of some lanes in one batch, `len(lanes)` of them; -1 and -1 where it is padding."""
        first = batch * self.global_batch_size
        positions = np.arange(first + lanes.start, min(first + lanes.stop, self.rows))
        rows = self._permutation.at(positions)
        places = Places.padding(len(lanes))
        group = np.searchsorted(self._ends, rows, side="right")
        places.group[: len(rows)] = group
        places.row[: len(rows)] = rows - self._starts[group]
        return places
