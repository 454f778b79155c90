"""Writes one Parquet shard, row group by row group, and sums up what went into it.

Text is compressed by zstd; pictures and recordings are stored as they are (uncompressed, plain), so that their bytes
lie verbatim in the file. Every page carries a checksum.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmdist.data.content import content_sums
from mmdist.data.index import RowGroupFacts
from mmdist.data.schema_guard import footer_sum
from mmdist.importing.sources import FILES
from mmdist.storage import Store

__all__ = ["GroupSize", "ShardResult", "ShardWriter", "default_group_rows", "schema_of"]

SMALL_GROUP_ROWS, LARGE_GROUP_ROWS = 16, 1024
GROUP_BYTES = 4 << 20
GROUPS = 128


def default_group_rows(rows: int) -> int:
    """Rows of a row group for a dataset of so many rows: a 128th of them, at least 16 and at most 1,024.

    So each of 32 lanes gets four or more row groups to shuffle among, down to 2,000 rows; below that, row groups of
    16 rows still give a lane one or two.
    """
    return min(max(-(-rows // GROUPS), SMALL_GROUP_ROWS), LARGE_GROUP_ROWS)


@dataclass(frozen=True)
class GroupSize:
    """Where a row group ends: at so many rows or, so that 32 lanes fit into memory, at so many bytes of content."""

    rows: int
    bytes: int | None = GROUP_BYTES


@dataclass(frozen=True)
class ShardResult:
    """What a shard holds: its split, its row groups, its size, its rows by label."""

    split: str
    groups: list[RowGroupFacts]
    bytes: int
    labels: Counter[str] = field(default_factory=Counter)


def schema_of(parts: tuple[str, ...], *, grouped: bool, values: tuple[str, ...]) -> pa.Schema:
    """The columns of every shard: `id`, the parts that the source has, `group` where rows are grouped, the rest."""
    further = [*(["group"] if grouped else []), *(name for name in values if name != "group" or not grouped)]
    columns: dict[str, pa.DataType] = {"id": pa.string()}
    columns |= {part: pa.binary() if part in FILES else pa.string() for part in parts}
    columns |= {name: pa.string() for name in further}
    return pa.schema(columns)


class ShardWriter:
    """One shard, open from the first row to `close`. Equal rows give equal bytes.

    Args:
        store: The dataset's folder.
        split: The split's folder in it.
        shard: The shard's file name.
        schema: Of `schema_of`.
        size: When a row group ends.

    Raises:
        StorageError: by every method, when storage fails.
    """

    def __init__(self, store: Store, split: str, shard: str, *, schema: pa.Schema, size: GroupSize) -> None:
        self._split, self._shard, self._schema, self._size = split, shard, schema, size
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._sums: list[dict[str, int]] = []
        self._labels: Counter[str] = Counter()
        self._path = f"{split}/{shard}"
        self._store = store
        self._open = ExitStack()
        stream = self._open.enter_context(store.open_output(self._path))
        repeated: Any = [name for name in schema.names if name in ("label", "group")]
        with self._storing():
            self._writer = pq.ParquetWriter(
                stream,
                schema,
                compression={name: "none" if name in FILES else "zstd" for name in schema.names},
                use_dictionary=repeated,
                # Elsewhere they would copy whole values into page headers and the footer, which no checksum covers.
                write_statistics=repeated,
                write_page_checksum=True,
            )

    def add(self, row: dict[str, Any]) -> None:
        """Adds a row, by column. Its row group is written once it is full."""
        self._rows.append(row)
        self._bytes += sum(len(row.get(part) or "") for part in (*FILES, "text"))
        if "label" in row:
            self._labels[row["label"]] += 1
        if len(self._rows) == self._size.rows or (self._size.bytes is not None and self._bytes >= self._size.bytes):
            self._end_group()

    def close(self) -> ShardResult:
        """Writes what is left and the footer. Raises DataRefusedError where storage gives back another footer."""
        if self._rows:
            self._end_group()
        with self._storing():
            self._writer.close()
        self._open.close()
        footer = self._writer.writer.metadata
        # Read back from storage: what lies there is what readers are to find.
        sum_of_footer = footer_sum(self._store, self._path)
        groups = []
        for number, sums in enumerate(self._sums):
            group = footer.row_group(number)
            stored = sum(group.column(column).total_compressed_size for column in range(group.num_columns))
            groups.append(RowGroupFacts(self._shard, number, group.num_rows, stored, sums, sum_of_footer))
        return ShardResult(self._split, groups, sum(group.bytes for group in groups), self._labels)

    def abandon(self) -> None:
        """Closes the file after an error, whatever state it is in."""
        self._rows = []
        with suppress(Exception), self._storing():
            self._writer.close()
        with suppress(Exception):
            self._open.close()

    def _end_group(self) -> None:
        table = pa.Table.from_pylist(self._rows, schema=self._schema)
        with self._storing():
            self._writer.write_table(table, row_group_size=len(self._rows))
        self._sums.append(content_sums(table))
        self._rows, self._bytes = [], 0

    @contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            # The store's own context turns it into a StorageError that names the file.
            self._open.__exit__(type(error), error, error.__traceback__)
            raise
