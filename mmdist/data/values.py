"""Arrow columns to Python texts, value by value where a value is not valid UTF-8."""

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

__all__ = ["INVALID", "byte_views", "name_values", "plain_column", "text_values"]

INVALID = "not valid UTF-8"
"""The reason of a row with such a value."""


def text_values(column: "pa.ChunkedArray[Any]") -> tuple[list[str | None], dict[int, str]]:
    """The texts of a string column (None for null), and by row the reason of those that are not valid UTF-8.

    An Arrow string may hold any bytes: a row whose bytes are no UTF-8 has None and a reason.
    """
    plain = plain_column(column)
    try:
        return plain.to_pylist(), {}
    except UnicodeDecodeError:
        pass
    texts: list[str | None] = []
    reasons: dict[int, str] = {}
    as_bytes = plain.cast(pa.large_binary() if pa.types.is_large_string(plain.type) else pa.binary())
    for row, data in enumerate(as_bytes.to_pylist()):
        try:
            texts.append(None if data is None else data.decode())
        except UnicodeDecodeError as error:
            texts.append(None)
            reasons[row] = f"{INVALID} at byte {error.start} of {len(error.object)}"
    return texts, reasons


def name_values(column: "pa.ChunkedArray[Any]") -> tuple[list[str | None], dict[int, str]]:
    """As `text_values`, for a column of names or labels: integers are written in decimal."""
    plain = plain_column(column)
    if pa.types.is_integer(plain.type):
        return [None if value is None else str(value) for value in plain.to_pylist()], {}
    return text_values(plain)


def byte_views(array: "pa.Array[Any]") -> list[memoryview | None]:
    """The values of a string or binary array as views of Arrow's memory, nothing copied; None for null."""
    _, offsets, data = array.buffers()
    if offsets is None or len(array) == 0:
        return [None] * len(array)
    is_large = pa.types.is_large_binary(array.type) or pa.types.is_large_string(array.type)
    bounds = np.frombuffer(memoryview(offsets), np.int64 if is_large else np.int32)
    bounds = bounds[array.offset : array.offset + len(array) + 1].tolist()
    # Arrow's buffers are signed bytes; decoders want unsigned ones.
    whole = memoryview(b"" if data is None else data).cast("B")
    views: list[memoryview | None] = [whole[start:end] for start, end in pairwise(bounds)]
    if array.null_count:
        for row in np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)).tolist():
            views[row] = None
    return views


def plain_column(column: "pa.ChunkedArray[Any]") -> "pa.ChunkedArray[Any]":
    """The column without dictionary encoding."""
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column
