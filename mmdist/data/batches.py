"""What a batch is: arrays for the model, and what is needed to account for every row. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["BadRow", "Batch", "LedgerDelta"]


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used: where it is, its name, and the column and reason that speak against it."""

    shard: str
    """Path of the shard below the dataset's folder."""
    row: int
    """Number of the row within its shard, from 0."""
    id: str
    """The row's name; `SHARD#ROW` where it has none."""
    column: str
    """Column of the dataset that the reason is about; empty where it is about the row as a whole."""
    reason: str
    """One sentence."""


@dataclass(frozen=True)
class LedgerDelta:
    """What one batch adds to the ledger: rows, and `weighted_sums` by column name, of fed and of quarantined rows."""

    fed_rows: int
    fed_sums: Mapping[str, int]
    quarantined_rows: int = 0
    quarantined_sums: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """B places, lane by lane. A place holds a row, a row that was set aside, or nothing (padding)."""

    index: int
    """Number of the batch within its epoch or scan, from 0."""
    image: npt.NDArray[np.uint8] | None
    """(B, H, W, 3), RGB; zeros where there is no picture. None where the job reads no pictures."""
    image_present: npt.NDArray[np.bool_]
    """(B,): whether the place has a picture."""
    text: npt.NDArray[np.int32] | None
    """(B, T): token numbers, 0 for padding and 1 for unknown. None where the job reads no texts."""
    text_present: npt.NDArray[np.bool_]
    """(B,): whether the place has a text with at least one token."""
    label: npt.NDArray[Any] | None
    """What the task learns, 0 where the mask is 0: index into the labels int32 (B,), their marks float32 (B, C), a
    number float32 (B,) or the tokens of a caption int32 (B, T). None where the job reads no labels."""
    mask: npt.NDArray[np.float32]
    """(B,): 1 for a row that counts, 0 for padding and rows that were set aside."""
    row: npt.NDArray[np.int64]
    """(B,): the row's number within the dataset, from 0; -1 for padding."""
    ids: list[str | None]
    """The rows' names; `SHARD#ROW` where a row has none, None for padding."""
    bad: list[BadRow]
    """The rows of this batch that were set aside, by place."""
    ledger: LedgerDelta
    fields: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    """By name the arrays of further modalities: `tabular` float32 (B, F, 2), `audio` float32 (B, F, M), and of each
    `MODALITY_present` bool (B,)."""

    def inputs(self) -> dict[str, npt.NDArray[Any]]:
        """What a model may be shown, by name: of each modality that the job reads, its arrays and where it is present.

        `image` uint8 (B, H, W, 3), `image_present` bool (B,), `text` int32 (B, T), `text_present` bool (B,), and
        the further `fields`.
        """
        arrays: dict[str, npt.NDArray[Any]] = {}
        if self.image is not None:
            arrays |= {"image": self.image, "image_present": self.image_present}
        if self.text is not None:
            arrays |= {"text": self.text, "text_present": self.text_present}
        return arrays | self.fields

    @property
    def size(self) -> int:
        """B, padding included."""
        return len(self.mask)

    @property
    def rows(self) -> int:
        """Rows that count."""
        return int(np.count_nonzero(self.mask))
