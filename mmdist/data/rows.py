"""Rows as arrays, all but their pictures decoded: what row groups become, and what batches are cut from. No I/O."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmdist.data.batches import BadRow

__all__ = ["ObjectArray", "RowBlock"]

ObjectArray = npt.NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class RowBlock:
    """n places, each with a row or with padding (`row` -1). Slices are views."""

    row: npt.NDArray[np.int64]
    """(n,): number of the row within the dataset, -1 for padding."""
    ids: ObjectArray
    """(n,) str; None for padding."""
    images: ObjectArray | None
    """(n,) memoryview of Arrow's memory, still encoded; None where there is no picture."""
    text: npt.NDArray[np.int32] | None
    """(n, T)."""
    text_present: npt.NDArray[np.bool_]
    """(n,)."""
    label: npt.NDArray[Any] | None
    """(n, ...): what the task's target makes of it."""
    fields: dict[str, npt.NDArray[Any]]
    """(n, ...) by name: what else a model is fed with as it is."""
    bad: dict[int, BadRow]
    """By number of the row within the dataset, the rows that are known to be bad before their picture is decoded."""
    summed: tuple[str, ...]
    """C names of columns."""
    sums: npt.NDArray[np.uint64]
    """(C, n): what each row adds to the ledger's sum of a column."""

    @classmethod
    def padding(cls, size: int, *, like: "RowBlock") -> "RowBlock":
        """A block of nothing but padding, with the columns of another one."""
        return cls(
            row=np.full(size, -1, np.int64),
            ids=np.full(size, None, np.object_),
            images=None if like.images is None else np.full(size, None, np.object_),
            text=None if like.text is None else np.zeros((size, like.text.shape[1]), np.int32),
            text_present=np.zeros(size, np.bool_),
            label=None if like.label is None else np.zeros((size, *like.label.shape[1:]), like.label.dtype),
            fields={name: np.zeros((size, *array.shape[1:]), array.dtype) for name, array in like.fields.items()},
            bad={},
            summed=like.summed,
            sums=np.zeros((len(like.summed), size), np.uint64),
        )

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, part: slice) -> "RowBlock":
        return RowBlock(
            row=self.row[part],
            ids=self.ids[part],
            images=None if self.images is None else self.images[part],
            text=None if self.text is None else self.text[part],
            text_present=self.text_present[part],
            label=None if self.label is None else self.label[part],
            fields={name: array[part] for name, array in self.fields.items()},
            bad=self.bad,
            summed=self.summed,
            sums=self.sums[:, part],
        )

    def put(self, places: npt.NDArray[np.int64], rows: "RowBlock", numbers: npt.NDArray[np.int64]) -> None:
        """Copies rows, by their numbers in another block with the same columns, to places of this one."""
        pairs: list[tuple[npt.NDArray[Any] | None, npt.NDArray[Any] | None]] = [
            (self.row, rows.row),
            (self.ids, rows.ids),
            (self.images, rows.images),
            (self.text, rows.text),
            (self.text_present, rows.text_present),
            (self.label, rows.label),
            *((array, rows.fields[name]) for name, array in self.fields.items()),
        ]
        for into, source in pairs:
            if into is not None and source is not None:
                into[places] = source[numbers]
        self.sums[:, places] = rows.sums[:, numbers]
        self.bad.update(rows.bad)
