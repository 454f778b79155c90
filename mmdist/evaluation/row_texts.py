"""Texts of evaluated rows, as the dataset has them."""

import numpy as np
import numpy.typing as npt

from mmdist.data.dataset import Dataset
from mmdist.data.values import text_values

__all__ = ["TEXT_CHARACTERS", "RowTexts"]

TEXT_CHARACTERS = 300
"""Of a text, what is kept of it in a report's files."""


class RowTexts:
    """Texts by row number, for rows asked for in storage order; it holds one row group's texts at a time."""

    def __init__(self, dataset: Dataset, column: str | None) -> None:
        self._dataset = dataset
        self._column = column
        self._first_row = np.concatenate([[0], np.cumsum(dataset.index.rows)])
        self._group = -1
        self._texts: list[str | None] = []

    def of(self, rows: npt.NDArray[np.int64]) -> list[str | None]:
        """The texts of rows (N,), None where a row or the dataset has none."""
        if self._column is None:
            return [None] * len(rows)
        texts = []
        for row in rows.tolist():
            group = int(np.searchsorted(self._first_row, row, side="right")) - 1
            if group != self._group:
                # A text that is no UTF-8 is None: its row has been set aside.
                self._texts, _ = text_values(self._dataset.read_row_group(group, [self._column]).column(0))
                self._group = group
            texts.append(self._texts[row - int(self._first_row[group])])
        return texts
