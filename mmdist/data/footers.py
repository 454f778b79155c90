"""What a dataset is told by a shard's footer: its columns, and the rows and bytes of its row groups."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mmdist.data.index import RowGroupFacts
from mmdist.data.schema_guard import open_summed
from mmdist.errors import DataRefusedError, Place
from mmdist.storage import Store

__all__ = ["ShardFooter", "read_footer"]


@dataclass(frozen=True, eq=False)
class ShardFooter:
    """A shard's footer."""

    shard: str
    schema: pa.Schema
    rows: npt.NDArray[np.int64]
    """(row groups,) rows of each."""
    groups: tuple[RowGroupFacts, ...]
    """The row groups with their bytes; empty where they were not measured."""
    sum: int
    """XXH3-64 of the footer's bytes."""


def read_footer(store: Store, shard: str, *, measure: bool) -> ShardFooter:
    """Reads a shard's footer.

    Args:
        store: Where the shard lies.
        shard: Its file name.
        measure: Whether the bytes of each row group are summed up, and its place in the file checked.

    Raises:
        DataRefusedError: as `open_parquet`, and when a measured row group lies outside the file.
    """
    opened, footer_sum = open_summed(store, shard)
    with opened as reader:
        metadata = reader.metadata
        rows = np.array([metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)], np.int64)
        groups: tuple[RowGroupFacts, ...] = ()
        if measure:
            with store.open_file(shard) as file:
                size = file.size()
            measured = [_measure(metadata, number, size, f"{store.url}/{shard}") for number in range(len(rows))]
            groups = tuple(
                RowGroupFacts(shard, number, int(rows[number]), size_bytes, {}, footer_sum)
                for number, size_bytes in enumerate(measured)
            )
        return ShardFooter(shard, reader.schema_arrow, rows, groups, footer_sum)


def _measure(metadata: pq.FileMetaData, number: int, file_bytes: int, where: str) -> int:
    group = metadata.row_group(number)
    total = 0
    for position in range(group.num_columns):
        column = group.column(position)
        start = column.data_page_offset
        if column.has_dictionary_page and column.dictionary_page_offset is not None:
            start = min(start, column.dictionary_page_offset)
        size = column.total_compressed_size
        if start < 0 or size < 0 or start + size > file_bytes:
            raise DataRefusedError(
                f"the shard's footer places row group {number} outside the file",
                expected=f"bytes within 0 to {file_bytes}",
                received=f"bytes {start} to {start + size}",
                place=Place(file=where),
                remedy="write the shard again, or take it out of the folder",
            )
        total += size
    return total
