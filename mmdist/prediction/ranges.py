"""Cuts a dataset into ranges of whole row groups, one output shard each. A pure function of the dataset: no I/O.

The cut depends on the row groups and the number of labels alone, never on workers or batch size: whatever has
been written can be taken up again on another cluster.
"""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["PredictionRange", "plan_ranges"]

_MIN_ROWS = 4_096
_MAX_ROWS = 65_536
_SHARDS = 256
_MAX_PROBABILITIES = 16_777_216  # 64 MiB of float32: a range's output is held in memory until it is written


@dataclass(frozen=True)
class PredictionRange:
    """Row groups `first_group` up to `stop_group` (not included), and the rows they hold."""

    number: int
    first_group: int
    stop_group: int
    first_row: int
    rows: int

    @property
    def shard(self) -> str:
        """The name of the output shard."""
        return f"part-{self.number:05d}.parquet"


def plan_ranges(group_rows: Sequence[int], *, labels: int) -> tuple[PredictionRange, ...]:
    """The ranges of a dataset, in its order; every row group is in exactly one.

    A range gets 4,096 to 65,536 rows, aiming at 256 ranges, and fewer where there are so many labels that a
    range's probabilities would pass 64 MiB. A row group is never cut: a larger one is a range by itself.

    Args:
        group_rows: Rows of each row group.
        labels: Numbers in the lists of a row, such as probabilities.
    """
    total = int(sum(group_rows))
    target = min(max(total // _SHARDS, _MIN_ROWS), _MAX_ROWS, max(_MAX_PROBABILITIES // labels, 1))
    ranges: list[PredictionRange] = []
    first_group = first_row = rows = 0
    for group, count in enumerate(group_rows):
        if rows and rows + count > target:
            ranges.append(PredictionRange(len(ranges), first_group, group, first_row, rows))
            first_group, first_row, rows = group, first_row + rows, 0
        rows += int(count)
    if rows:
        ranges.append(PredictionRange(len(ranges), first_group, len(group_rows), first_row, rows))
    return tuple(ranges)
