"""Arrow columns to Python texts, value by value where a value is not valid UTF-8."""

from typing import Any

import pyarrow as pa

__all__ = ["INVALID", "name_values", "text_values"]

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


def plain_column(column: "pa.ChunkedArray[Any]") -> "pa.ChunkedArray[Any]":
    """The column without dictionary encoding."""
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column
