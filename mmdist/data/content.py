"""Hashes of what rows hold, and sums of them that show a lost, doubled, altered or swapped value. No I/O.

Each row has a key: the XXH3-64 of its id, or of its position in the row group where it has no id. A value's hash is
XXH3-64(bytes) * (key | 1) mod 2^64, so a value counts only in its own row; the id column's hash is the key itself.
docs/design/0002-content-ledger.md states it in full.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from mmdist.data.values import byte_views
from mmdist.errors import DataRefusedError, Place

__all__ = [
    "CANONICAL_COLUMNS",
    "HashedColumns",
    "content_sums",
    "group_weights",
    "row_hashes",
    "stored_columns",
    "sum_hashes",
    "text_hashes",
    "view_hashes",
    "weighted_sums",
]

UInt64Array = npt.NDArray[np.uint64]
Int64Array = npt.NDArray[np.int64]

CANONICAL_COLUMNS = ("id", "image", "text", "label")
"""Parts of a row whose sums come first in an index, by the names that importing gives; all other columns follow."""

_MOST_COPIED_BYTES = 256
"""Bytes per value up to which copies of the values are hashed faster than views of them."""
_digest: Callable[[Any], int] = xxhash.xxh3_64_intdigest
_NULL_HASH = np.uint64(xxhash.xxh3_64_intdigest(b"null", seed=1))


@dataclass(frozen=True)
class HashedColumns:
    """The columns of a table that are hashed, and the one of them that gives each row its key."""

    key: str | None
    """Column with the row's id; None where rows are keyed by their position in the row group."""
    names: tuple[str, ...]
    """Columns that are hashed, the key among them."""


def stored_columns(names: Sequence[str]) -> HashedColumns:
    """What importing hashes of a table with these column names: all of them, the canonical ones first."""
    further = (name for name in names if name not in CANONICAL_COLUMNS)
    hashed = (*(name for name in CANONICAL_COLUMNS if name in names), *further)
    return HashedColumns("id" if "id" in hashed else None, hashed)


def row_hashes(
    table: pa.Table,
    columns: HashedColumns,
    *,
    positions: Int64Array,
    given: Mapping[str, UInt64Array] | None = None,
) -> dict[str, UInt64Array]:
    """The hash of each value, uint64 (n,) per column.

    Args:
        table: n rows, of one row group or of several.
        columns: Which columns are hashed.
        positions: int64 (n,), each row's number in its row group. It keys rows without an id, and only those.
        given: Hashes of the values of some columns, where the caller has them already; the table may lack these.

    Raises:
        DataRefusedError: when a column is of a type that has no bytes to hash (a list, ...).
    """
    given = given or {}
    keys = _row_keys(table, columns.key, positions, given)
    hashes = {}
    for name in columns.names:
        if name == columns.key:
            hashes[name] = keys
        elif name in given:
            hashes[name] = given[name] * (keys | np.uint64(1))
        else:
            hashes[name] = _value_hashes(table.column(name), name)[0] * (keys | np.uint64(1))
    return hashes


def sum_hashes(hashes: UInt64Array) -> int:
    """The sum mod 2^64."""
    return int(np.add.reduce(hashes, dtype=np.uint64))


def content_sums(table: pa.Table) -> dict[str, int]:
    """The sums of one whole row group by column name, as the index of an import holds them.

    Args:
        table: All rows of the row group, in their order. A job may read any of its columns, so all are summed.

    Raises:
        DataRefusedError: when a column is of a type that has no bytes to hash.
    """
    positions = np.arange(table.num_rows, dtype=np.int64)
    hashes = row_hashes(table, stored_columns(table.column_names), positions=positions)
    return {name: sum_hashes(values) for name, values in hashes.items()}


def group_weights(groups: Int64Array) -> UInt64Array:
    """An odd number per row group, uint64 (n,): splitmix64(group) | 1. It ties a row to its row group in a sum."""
    mixed = (groups.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ (mixed >> np.uint64(31))) | np.uint64(1)


def weighted_sums(hashes: Mapping[str, UInt64Array], groups: Int64Array) -> dict[str, int]:
    """Per column the sum of hash * weight of the row's row group, mod 2^64: what the ledger adds up.

    Args:
        hashes: uint64 (n,) per column: the hashes of rows, or the sums of whole row groups.
        groups: int64 (n,), the number of each row's row group in the dataset's index.
    """
    weights = group_weights(groups)
    return {name: sum_hashes(values * weights) for name, values in hashes.items()}


def text_hashes(texts: Sequence[str]) -> UInt64Array:
    """As `view_hashes`, of texts or of names: uint64 (n,), of their UTF-8."""
    return np.fromiter(map(_digest, map(str.encode, texts)), np.uint64, len(texts))


def _row_keys(table: pa.Table, key: str | None, positions: Int64Array, given: Mapping[str, UInt64Array]) -> UInt64Array:
    if key is None:
        return group_weights(positions)
    if key in given:
        return given[key]
    keys, nulls = _value_hashes(table.column(key), key)
    if nulls is not None:
        keys[nulls] = group_weights(positions[nulls])
    return keys


def _value_hashes(column: "pa.ChunkedArray[Any]", name: str) -> tuple[UInt64Array, npt.NDArray[np.bool_] | None]:
    hashes = np.empty(len(column), np.uint64)
    start = 0
    for chunk in column.chunks:
        hashes[start : start + len(chunk)] = _chunk_hashes(_as_bytes(chunk, name))
        start += len(chunk)
    if column.null_count == 0:
        return hashes, None
    nulls = column.is_null().to_numpy()
    hashes[nulls] = _NULL_HASH
    return hashes, nulls


def _as_bytes(chunk: "pa.Array[Any]", name: str) -> "pa.Array[Any]":
    if pa.types.is_dictionary(chunk.type):
        chunk = chunk.cast(chunk.type.value_type)
    if pa.types.is_integer(chunk.type) or pa.types.is_boolean(chunk.type):
        return pc.cast(chunk, pa.string())
    if pa.types.is_floating(chunk.type):
        # As they are stored: another writing of the same number would be no harm, but is no claim of ours.
        numbers = chunk.fill_null(0).to_numpy(zero_copy_only=False)
        return pa.Array.from_buffers(pa.binary(numbers.itemsize), len(numbers), [None, pa.py_buffer(numbers.tobytes())])
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    if not any(is_kind(chunk.type) for is_kind in kinds):
        raise DataRefusedError(
            "a column's type cannot be hashed for the content ledger",
            expected="string, binary, number or bool",
            received=str(chunk.type),
            place=Place(key=name),
        )
    return chunk


def view_hashes(views: Sequence[memoryview | None]) -> UInt64Array:
    """The hashes of values, before any key is put to them: uint64 (n,)."""
    try:
        return np.fromiter(map(_digest, views), np.uint64, len(views))
    except TypeError:
        hashes = np.fromiter((0 if view is None else _digest(view) for view in views), np.uint64, len(views))
        hashes[[view is None for view in views]] = _NULL_HASH
        return hashes


def _chunk_hashes(chunk: "pa.Array[Any]") -> UInt64Array:
    if chunk.nbytes > _MOST_COPIED_BYTES * len(chunk):
        return view_hashes(byte_views(chunk))
    is_large = pa.types.is_large_string(chunk.type) or pa.types.is_large_binary(chunk.type)
    values: pa.Array[Any] = chunk.cast(pa.large_binary() if is_large else pa.binary())
    if values.null_count:
        values = values.fill_null(b"")
    return np.fromiter(map(_digest, values.to_pylist()), np.uint64, len(values))
