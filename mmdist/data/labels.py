"""Labels to numbers: learned from the training split, sorted, and looked up for whole columns at once."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmdist.data.content import text_hashes
from mmdist.data.values import name_values
from mmdist.errors import DataRefusedError

if TYPE_CHECKING:
    from mmdist.data.dataset import Dataset

__all__ = ["LabelCounts", "LabelEncoder", "count_labels", "distinct_labels", "is_blank", "learn_labels", "shown_label"]

_MOST_LABELS = 100_000
_SHOWN_CHARACTERS = 60


class LabelEncoder:
    """Numbers labels by their place in a list; integers are looked up by their decimal writing."""

    kind: Literal["label"] = "label"

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._numbers = {label: number for number, label in enumerate(self.labels)}

    def encode(self, column: "pa.ChunkedArray[Any]") -> tuple[npt.NDArray[np.int32], dict[int, str]]:
        """Indices of a column's labels, int32 (n,), and by row the reasons of those that are none (index 0)."""
        values, reasons = name_values(column)
        found = self._numbers.get
        indices = np.array([-1 if value is None else found(value, -1) for value in values], np.int32)
        for row in np.flatnonzero(indices < 0).tolist():
            indices[row] = 0
            reasons.setdefault(row, _no_label(values[row]))
        return indices, reasons

    def hashes_of(self, encoded: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
        """See `Target`."""
        hashes: npt.NDArray[np.uint64] = self.hashes[encoded]
        return hashes

    @cached_property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """(C,) `text_hashes` of the labels."""
        return text_hashes(self.labels)


@dataclass
class LabelCounts:
    """What was counted in a column of labels."""

    rows: int = 0
    """Rows whose value is not null."""
    by_label: Counter[str] = field(default_factory=Counter)
    """Rows that have the label."""


def count_labels(
    dataset: "Dataset",
    column: str,
    progress: Callable[[int], None] | None = None,
    *,
    split: Callable[[str], Sequence[str]] | None = None,
) -> LabelCounts:
    """Counts the labels of a column of a dataset; reads that column alone, a row group at a time.

    Args:
        dataset: The training split.
        column: The column with the labels; nulls, blanks and what is not valid UTF-8 are left out.
        progress: Called with the number of rows read so far.
        split: The labels that a value names; by default the value itself.

    Raises:
        DataRefusedError: where there are so many that the column can hold no labels.
    """
    counts = LabelCounts()
    rows = 0
    for group in range(len(dataset.index)):
        values, _ = name_values(dataset.read_row_group(group, [column]).column(column))
        counts.rows += sum(value is not None for value in values)
        named = (value for value in values if value is not None and not is_blank(value))
        counts.by_label.update(named if split is None else (label for value in named for label in set(split(value))))
        rows += len(values)
        if progress is not None:
            progress(rows)
        if len(counts.by_label) > _MOST_LABELS:
            raise DataRefusedError(
                f"column {column} does not look like labels",
                expected=f"at most {_MOST_LABELS} different labels",
                received=f"{len(counts.by_label)} in the first {rows} rows of {dataset.store.url}",
                remedy="name the column with the class of each row as data.columns.label",
            )
    return counts


def learn_labels(dataset: "Dataset", column: str, progress: Callable[[int], None] | None = None) -> tuple[str, ...]:
    """The distinct labels of a column, one per row; see `count_labels` and `distinct_labels`."""
    return distinct_labels(count_labels(dataset, column, progress), dataset, column)


def distinct_labels(counts: LabelCounts, dataset: "Dataset", column: str, *, least: int = 2) -> tuple[str, ...]:
    """The labels that were counted, sorted.

    Raises:
        DataRefusedError: where there are fewer than `least`.
    """
    labels = tuple(sorted(counts.by_label))
    if len(labels) < least:
        raise DataRefusedError(
            f"column {column} holds too few labels to tell apart",
            expected=f"at least {least} different label{'s' if least > 1 else ''}",
            received=f"{len(labels)} in {dataset.rows} rows of {dataset.store.url}: "
            f"{', '.join(map(shown_label, labels)) or 'none'}",
            remedy="check data.columns.label, and the split's folder",
        )
    return labels


def is_blank(label: str | None) -> bool:
    """Whether a row has no label: null, or nothing but white space, as tables write it."""
    return label is None or not label.strip()


def _no_label(label: str | None) -> str:
    if label is None:
        return "no label (null)"
    return "no label (blank)" if is_blank(label) else f"unknown label {shown_label(label)}"


def shown_label(label: str) -> str:
    """A label for a message, cut short."""
    return repr(label if len(label) <= _SHOWN_CHARACTERS else label[:_SHOWN_CHARACTERS] + "...")
