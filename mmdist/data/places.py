"""Which row a place of a batch holds. No I/O."""

from dataclasses import dataclass

import numpy as np

from mmdist.data.permutation import Int64Array

__all__ = ["Places"]


@dataclass(frozen=True, eq=False)
class Places:
    """n places of a batch."""

    group: Int64Array
    """(n,) number of the row group in the dataset's index; -1 for padding."""
    row: Int64Array
    """(n,) number of the row in its row group; -1 for padding."""

    @classmethod
    def padding(cls, count: int) -> "Places":
        """Places that hold nothing yet."""
        return cls(np.full(count, -1, np.int64), np.full(count, -1, np.int64))

    def __len__(self) -> int:
        return len(self.row)
