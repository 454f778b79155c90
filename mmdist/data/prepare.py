"""One row group as a batch needs it: tokens, labels, names and hashes in arrays, pictures still encoded in Arrow."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmdist.data.content import HashedColumns, group_weights, row_hashes
from mmdist.data.labels import LabelEncoder
from mmdist.data.tokenizer import Tokenizer
from mmdist.data.values import name_values, plain_column, text_values
from mmdist.errors import DataRefusedError, Place
from mmdist.spec.data import ColumnsSpec

__all__ = ["EncodedImages", "PreparedRows", "RowOrigin", "prepare_rows"]


@dataclass(frozen=True)
class RowOrigin:
    """Where the rows of a table come from: a shard, and the number of the first row there and in the dataset."""

    shard: str = ""
    first_shard_row: int = 0
    first_row: int = 0
    group: int = 0
    """Number of the row group in the dataset's index."""


class EncodedImages:
    """The values of a binary column as views of Arrow's memory, which is neither copied nor turned into objects."""

    def __init__(self, column: "pa.ChunkedArray[Any]") -> None:
        plain = plain_column(column)
        self.null = plain.is_null().to_numpy() if plain.null_count else np.zeros(len(plain), np.bool_)
        """(n,): whether the value is null."""
        self._views: list[memoryview] = []
        self._chunk = np.zeros(len(plain), np.int32)
        self._bounds = np.zeros((len(plain), 2), np.int64)
        start = 0
        for chunk in plain.chunks:
            wide = pa.types.is_large_binary(chunk.type)
            _, offsets, data = chunk.buffers()
            stop = start + len(chunk)
            if offsets is not None and len(chunk):
                cuts = np.frombuffer(memoryview(offsets), np.int64 if wide else np.int32)[chunk.offset :][
                    : len(chunk) + 1
                ]
                self._bounds[start:stop] = np.stack([cuts[:-1], cuts[1:]], axis=1)
                self._chunk[start:stop] = len(self._views)
            # Arrow's buffers are signed bytes; decoders want unsigned ones.
            self._views.append(memoryview(b"" if data is None else data).cast("B"))
            start = stop

    def __len__(self) -> int:
        return len(self._chunk)

    def __getitem__(self, row: int) -> memoryview:
        view = self._views[self._chunk[row]]
        return view[int(self._bounds[row, 0]) : int(self._bounds[row, 1])]


@dataclass(frozen=True)
class PreparedRows:
    """n rows, all but their pictures decoded."""

    origin: RowOrigin
    ids: list[str]
    """The rows' names; `SHARD#ROW` where a row has none."""
    images: EncodedImages | None
    text: npt.NDArray[np.int32] | None
    """(n, T)."""
    text_present: npt.NDArray[np.bool_]
    """(n,)."""
    label: npt.NDArray[np.int32] | None
    """(n,)."""
    reasons: dict[int, tuple[str, str]]
    """Column and reason of the rows that are known to be bad before any picture is decoded."""
    sums: dict[str, npt.NDArray[np.uint64]]
    """(n,) per column: what each row adds to the ledger's sums."""

    def __len__(self) -> int:
        return len(self.ids)

    def shard_row(self, row: int) -> int:
        """The row's number within its shard."""
        return self.origin.first_shard_row + row


def prepare_rows(
    table: pa.Table,
    columns: ColumnsSpec,
    origin: RowOrigin,
    *,
    tokenizer: Tokenizer | None,
    labels: LabelEncoder | None,
    hashed: HashedColumns | None,
) -> PreparedRows:
    """Prepares the rows of one row group, or of any table.

    Args:
        table: The rows, with the columns that are read.
        columns: Which column plays which part.
        origin: Where the rows come from.
        tokenizer: Needed where texts are read.
        labels: Without them, the label column is not looked at.
        hashed: The columns that the ledger adds up; None for no ledger.

    Raises:
        DataRefusedError: where a column is missing or of a type that cannot play its part.
    """
    reasons: dict[int, tuple[str, str]] = {}
    ids = _ids(table, columns.id, origin, reasons)
    label = None
    if labels is not None and columns.label is not None:
        label, unknown = labels.encode(_column(table, columns.label, "label"))
        _note(reasons, columns.label, unknown)
    text, text_present = None, np.zeros(len(table), np.bool_)
    if columns.text is not None and tokenizer is not None:
        texts, invalid = text_values(_column(table, columns.text, "text"))
        _note(reasons, columns.text, invalid)
        text = tokenizer.encode([value or "" for value in texts])
        text_present = text[:, 0] != 0
    images = None if columns.image is None else EncodedImages(_column(table, columns.image, "image"))
    _note_empty_rows(reasons, columns, images, text, text_present)
    sums = {}
    if hashed is not None:
        weight = group_weights(np.array([origin.group], np.int64))
        positions = np.arange(len(table), dtype=np.int64)
        sums = {name: values * weight for name, values in row_hashes(table, hashed, positions=positions).items()}
    return PreparedRows(origin, ids, images, text, text_present, label, reasons, sums)


def _ids(table: pa.Table, column: str | None, origin: RowOrigin, reasons: dict[int, tuple[str, str]]) -> list[str]:
    named: list[str | None] = [None] * len(table)
    if column is not None:
        named, invalid = name_values(_column(table, column, "id"))
        _note(reasons, column, invalid)
    first = origin.first_shard_row
    return [f"{origin.shard}#{first + row}" if name is None else name for row, name in enumerate(named)]


def _note(reasons: dict[int, tuple[str, str]], column: str, found: dict[int, str]) -> None:
    for row, reason in found.items():
        reasons.setdefault(row, (column, reason))


def _note_empty_rows(
    reasons: dict[int, tuple[str, str]],
    columns: ColumnsSpec,
    images: EncodedImages | None,
    text: npt.NDArray[np.int32] | None,
    text_present: npt.NDArray[np.bool_],
) -> None:
    """A row may lack its picture or its text, not all that the job reads."""
    if images is None and text is None:
        return
    absent = ~text_present if images is None else images.null & ~text_present
    parts = [(columns.image, "no picture (null)")] if images is not None else []
    parts += [(columns.text, "no text (null, empty or blank)")] if text is not None else []
    column = parts[0][0] if len(parts) == 1 else ""
    for row in np.flatnonzero(absent).tolist():
        reasons.setdefault(row, (column or "", " and ".join(reason for _, reason in parts)))


_TYPES = {
    "image": ((pa.types.is_binary, pa.types.is_large_binary), "binary"),
    "text": ((pa.types.is_string, pa.types.is_large_string), "string"),
    "label": ((pa.types.is_string, pa.types.is_large_string, pa.types.is_integer), "string or integer"),
    "id": ((pa.types.is_string, pa.types.is_large_string, pa.types.is_integer), "string or integer"),
}


def _column(table: pa.Table, name: str, part: str) -> "pa.ChunkedArray[Any]":
    is_kinds, stated = _TYPES[part]
    if name not in table.column_names:
        raise DataRefusedError(
            f"there is no column {name} for the {part}",
            expected=f"one of {', '.join(table.column_names)}",
            received=name,
            place=Place(key=f"data.columns.{part}"),
        )
    column = table.column(name)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not any(is_kind(kind) for is_kind in is_kinds):
        raise DataRefusedError(
            f"column {name} cannot be the {part}",
            expected=f"type {stated}",
            received=f"type {column.type}",
            place=Place(key=f"data.columns.{part}"),
            remedy="name another column, or import the data with this column converted",
        )
    return column
