"""Pictures of some rows, read once more: for those that are only known after all rows were judged."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from mmdist.data.collate import Collator
from mmdist.data.dataset import Dataset
from mmdist.evaluation.mistakes import small_picture
from mmdist.spec.data import ColumnsSpec

__all__ = ["RowPictures"]


class RowPictures:
    """Pictures by row number.

    Args:
        dataset: The rows.
        collator: Prepares them as for the model.
    """

    def __init__(self, dataset: Dataset, collator: Collator) -> None:
        self._dataset = dataset
        self._column = collator.columns.image
        columns = ColumnsSpec(image=self._column)
        self._collator = replace(collator, columns=columns, tokenizer=None, tabular=None, audio=None, target=None)

    def of(self, rows: Iterable[int]) -> dict[int, bytes]:
        """The pictures of the rows that have one that can be read, as PNG; a row group is read once."""
        if self._column is None:
            return {}
        first = np.concatenate([[0], np.cumsum(self._dataset.index.rows)])
        by_group: dict[int, list[int]] = {}
        for row in sorted(set(rows)):
            by_group.setdefault(int(np.searchsorted(first, row, side="right")) - 1, []).append(row)
        pictures: dict[int, bytes] = {}
        for group, wanted in by_group.items():
            table = self._dataset.read_row_group(group, [self._column])
            batch = self._collator.collate(table.take([row - int(first[group]) for row in wanted]))
            found = {row: small_picture(batch, place) for place, row in enumerate(wanted)}
            pictures |= {row: picture for row, picture in found.items() if picture is not None}
        return pictures
