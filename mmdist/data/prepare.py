"""One row group as a batch needs it: tokens, labels, names and hashes in arrays, pictures still encoded in Arrow."""

from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmdist.data.audio import AudioEncoder
from mmdist.data.batches import BadRow
from mmdist.data.content import HashedColumns, group_weights, row_hashes, text_hashes, view_hashes
from mmdist.data.rows import ObjectArray, RowBlock
from mmdist.data.tabular import TabularEncoder
from mmdist.data.targets import Target
from mmdist.data.tokenizer import Tokenizer
from mmdist.data.values import byte_views, name_values, plain_column, text_values
from mmdist.errors import DataRefusedError, Place
from mmdist.spec.data import ColumnsSpec

__all__ = ["RowOrigin", "hash_images", "image_views", "prepare_rows"]


@dataclass(frozen=True)
class RowOrigin:
    """Where the rows of a table come from: a shard, and the number of the first row there and in the dataset."""

    shard: str = ""
    first_shard_row: int = 0
    first_row: int = 0
    group: int = 0
    """Number of the row group in the dataset's index."""

    def locate(self, row: int) -> tuple[str, int]:
        """The shard of a row, and its number there, by its number in the dataset."""
        return self.shard, self.first_shard_row + row - self.first_row


def prepare_rows(
    table: pa.Table,
    columns: ColumnsSpec,
    origin: RowOrigin,
    *,
    tokenizer: Tokenizer | None,
    tabular: TabularEncoder | None,
    audio: AudioEncoder | None,
    target: Target | None,
    hashed: HashedColumns | None,
    images: ObjectArray | None = None,
) -> RowBlock:
    """Prepares the rows of one row group, or of any table, in its order.

    The pictures stay views of the table's memory, which lives as long as the block.

    Args:
        table: n rows, with the columns that are read.
        columns: Which column plays which part.
        origin: Where the rows come from.
        tokenizer: Needed where texts are read.
        tabular: Needed where the fields of records are read.
        audio: Needed where recordings are read.
        target: Without it, the label column is not looked at.
        hashed: The columns that the ledger adds up; None for no ledger.
        images: (n,) the pictures where the table does not hold their column. They are not looked at: their sums are
            left for `hash_images` to finish.

    Raises:
        DataRefusedError: where a column is missing or of a type that cannot play its part.
    """
    count = len(table)
    numbers = np.arange(count, dtype=np.int64)
    reasons: _Reasons = {}
    # Hashes of values that are at hand here; a column with a gap in it is hashed by its stored bytes, further down.
    known: dict[str, UInt64Array] = {}
    names = None
    if columns.id is not None:
        names, invalid = name_values(_column(table, columns.id, "id"))
        _note(reasons, columns.id, invalid)
        if hashed is not None and None not in names:
            known[columns.id] = text_hashes(cast(list[str], names))
    label = None
    if target is not None and columns.label is not None:
        label, unknown = target.encode(_column(table, columns.label, "label", kind=target.kind))
        _note(reasons, columns.label, unknown)
        label_hashes = None if unknown else target.hashes_of(label)
        if label_hashes is not None:
            known[columns.label] = label_hashes
    text, text_present = None, np.zeros(count, np.bool_)
    if columns.text is not None and tokenizer is not None:
        texts, invalid = text_values(_column(table, columns.text, "text"))
        _note(reasons, columns.text, invalid)
        if hashed is not None and None not in texts:
            known[columns.text] = text_hashes(cast(list[str], texts))
        text = tokenizer.encode([value or "" for value in texts])
        text_present = text[:, 0] != 0
    fields: dict[str, npt.NDArray[Any]] = {}
    if tabular is not None:
        fields, unreadable = tabular.encode(table)
        for number, reason in unreadable.items():
            reasons.setdefault(number, reason)
    if audio is not None and columns.audio is not None:
        heard, unusable = audio.encode(_column(table, columns.audio, "audio"))
        fields |= heard
        _note(reasons, columns.audio, unusable)
    if columns.image is not None and images is not None:
        known[columns.image] = np.ones(count, np.uint64)
    elif columns.image is not None:
        images = image_views(_column(table, columns.image, "image"))
        if hashed is not None:
            known[columns.image] = view_hashes(images.tolist())
    _note_empty_rows(reasons, count, columns, images, None if text is None else text_present, fields)
    summed = () if hashed is None else hashed.names
    sums = np.zeros((len(summed), count), np.uint64)
    if hashed is not None:
        weight = group_weights(np.array([origin.group], np.int64))
        hashes = row_hashes(table, hashed, positions=numbers, given=known)
        for number, name in enumerate(summed):
            sums[number] = hashes[name] * weight
    ids = _ids(names, count, origin)
    return RowBlock(
        row=origin.first_row + numbers,
        ids=ids,
        images=images,
        text=text,
        text_present=text_present,
        label=label,
        fields=fields,
        bad={
            origin.first_row + number: BadRow(origin.shard, origin.first_shard_row + number, ids[number], *reason)
            for number, reason in sorted(reasons.items())
        },
        summed=summed,
        sums=sums,
    )


def hash_images(rows: RowBlock, column: str) -> None:
    """Finishes the sums of pictures that `prepare_rows` did not look at."""
    if rows.images is not None and column in rows.summed:
        rows.sums[rows.summed.index(column)] *= view_hashes(rows.images.tolist())


def image_views(column: "pa.ChunkedArray[Any]") -> ObjectArray:
    """The values of a binary column as memoryviews of Arrow's memory, nothing copied; None for null."""
    views = chain.from_iterable(byte_views(chunk) for chunk in plain_column(column).chunks)
    return np.fromiter(views, np.object_, len(column))


UInt64Array = npt.NDArray[np.uint64]
_Reasons = dict[int, tuple[str, str]]
"""By number of a row in its table: the column and the reason that speak against it; the first one found counts."""


def _ids(names: list[str | None] | None, count: int, origin: RowOrigin) -> ObjectArray:
    ids = np.full(count, None, np.object_)
    if names is not None:
        ids[:] = names
    if names is None or None in names:
        for row in np.flatnonzero(ids == None).tolist():  # noqa: E711 - elementwise
            ids[row] = f"{origin.shard}#{origin.first_shard_row + row}"
    return ids


def _note(reasons: _Reasons, column: str, found: dict[int, str]) -> None:
    for row, reason in found.items():
        reasons.setdefault(row, (column, reason))


def _note_empty_rows(
    reasons: _Reasons,
    count: int,
    columns: ColumnsSpec,
    images: ObjectArray | None,
    text_present: npt.NDArray[np.bool_] | None,
    fields: dict[str, npt.NDArray[Any]],
) -> None:
    """A row may lack one of its modalities, but not all that the job reads."""
    absent = np.ones(count, np.bool_)
    parts: list[tuple[str, str]] = []
    if images is not None:
        # One by one: numpy would have each view compare itself.
        absent &= np.fromiter((image is None for image in images.tolist()), np.bool_, count)
        parts.append((columns.image or "", "no picture (null)"))
    if text_present is not None:
        absent &= ~text_present
        parts.append((columns.text or "", "no text (null, empty or blank)"))
    if "audio_present" in fields:
        absent &= ~fields["audio_present"]
        parts.append((columns.audio or "", "no recording (null)"))
    if "tabular_present" in fields:
        absent &= ~fields["tabular_present"]
        parts.append(("", "no field (all null, blank or NaN)"))
    if parts:
        column = parts[0][0] if len(parts) == 1 else ""
        reason = " and ".join(reason for _, reason in parts)
        _note(reasons, column, dict.fromkeys(np.flatnonzero(absent).tolist(), reason))


_TYPES = {
    "image": ((pa.types.is_binary, pa.types.is_large_binary), "binary"),
    "text": ((pa.types.is_string, pa.types.is_large_string), "string"),
    "audio": ((pa.types.is_binary, pa.types.is_large_binary), "binary"),
    "label": ((pa.types.is_string, pa.types.is_large_string, pa.types.is_integer), "string or integer"),
    "number": (
        (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating),
        "integer, floating point number, or string with a number",
    ),
    "id": ((pa.types.is_string, pa.types.is_large_string, pa.types.is_integer), "string or integer"),
}


def _column(table: pa.Table, name: str, part: str, *, kind: str | None = None) -> "pa.ChunkedArray[Any]":
    is_kinds, stated = _TYPES[kind or part]
    if name not in table.column_names:
        raise DataRefusedError(
            f"there is no column {name} for the {part}",
            expected=f"one of {', '.join(table.column_names)}",
            received=name,
            place=Place(key=f"data.columns.{part}"),
        )
    column = table.column(name)
    stored = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not any(is_kind(stored) for is_kind in is_kinds):
        raise DataRefusedError(
            f"column {name} cannot be the {part}",
            expected=f"type {stated}",
            received=f"type {column.type}",
            place=Place(key=f"data.columns.{part}"),
            remedy="name another column, or import the data with this column converted",
        )
    return column
