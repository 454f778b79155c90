"""The fields of records as numbers: scaled by the training split's statistics, categories by its most frequent ones."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmdist.data.moments import Moments, number_values
from mmdist.data.values import name_values, plain_column
from mmdist.spec.data import TabularColumnsSpec, TabularSpec

if TYPE_CHECKING:
    from mmdist.data.dataset import Dataset

__all__ = ["UNKNOWN_CATEGORY", "TabularEncoder", "learn_tabular"]

UNKNOWN_CATEGORY = 0
"""Number of every category that the training split lacks, or has too seldom."""
_MOST_COUNTED = 1_000_000

Reasons = dict[int, tuple[str, str]]
"""By number of a row in its table: the column and the reason that speak against it."""


@dataclass(frozen=True)
class TabularEncoder:
    """Turns the fields of records into arrays, by what was learned from the training split."""

    numbers: tuple[str, ...]
    """Columns with numbers; they come first."""
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    """Standard deviations; 1 where a column has but one value."""
    categories: tuple[str, ...]
    """Columns with categories."""
    vocabularies: tuple[tuple[str, ...], ...]
    """By column, the categories that are told apart, in the order of their numbers from 1."""

    def encode(self, table: pa.Table) -> tuple[dict[str, npt.NDArray[Any]], Reasons]:
        """A table's fields, and the rows that hold something else than they should.

        Returns:
            `tabular`, float32 (n, F, 2): of each field its scaled number, or the number of its category, and 1 where
            it is known (else both are 0); `tabular_present`, bool (n,): whether any field is known.
        """
        values = np.zeros((len(table), len(self.numbers) + len(self.categories), 2), np.float32)
        reasons: Reasons = {}
        for place, (name, mean, deviation) in enumerate(zip(self.numbers, self.means, self.deviations, strict=True)):
            read, wrong = number_values(table.column(name))
            known = np.isfinite(read)
            values[known, place, 0] = (read[known] - mean) / deviation
            values[known, place, 1] = 1.0
            _note(reasons, name, wrong)
        for place, (name, numbers) in enumerate(zip(self.categories, self._lookups, strict=True), len(self.numbers)):
            names, wrong = _names(table.column(name))
            known = np.array([each is not None for each in names], np.bool_)
            values[:, place, 0] = [numbers.get(each or "", UNKNOWN_CATEGORY) for each in names]
            values[~known, place, 0] = 0.0
            values[:, place, 1] = known
            _note(reasons, name, wrong)
        present: npt.NDArray[np.bool_] = np.any(values[:, :, 1] > 0, axis=1)
        return {"tabular": values, "tabular_present": present}, reasons

    @cached_property
    def _lookups(self) -> list[dict[str, int]]:
        return [{name: number for number, name in enumerate(names, 1)} for names in self.vocabularies]

    def to_json(self) -> dict[str, Any]:
        """For the run and the model folder."""
        return {
            "numbers": [
                {"name": name, "mean": mean, "deviation": deviation}
                for name, mean, deviation in zip(self.numbers, self.means, self.deviations, strict=True)
            ],
            "categories": [
                {"name": name, "categories": list(known)}
                for name, known in zip(self.categories, self.vocabularies, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "TabularEncoder":
        """Of `to_json`."""
        numbers, categories = record["numbers"], record["categories"]
        return cls(
            tuple(each["name"] for each in numbers),
            tuple(each["mean"] for each in numbers),
            tuple(each["deviation"] for each in numbers),
            tuple(each["name"] for each in categories),
            tuple(tuple(each["categories"]) for each in categories),
        )


def learn_tabular(
    dataset: "Dataset",
    columns: TabularColumnsSpec,
    spec: TabularSpec,
    progress: Callable[[int], None] | None = None,
) -> TabularEncoder:
    """Means, deviations and categories of a dataset; reads those columns alone, a row group at a time.

    Args:
        dataset: The training split. What cannot be read as a number or a name is left out.
        columns: The fields.
        spec: How many categories are told apart; of equally frequent ones the first by name.
        progress: Called with the number of rows read so far.
    """
    moments = [Moments() for _ in columns.numbers]
    counted: list[Counter[str]] = [Counter() for _ in columns.categories]
    rows = 0
    for group in range(len(dataset.index)):
        table = dataset.read_row_group(group, list(dict.fromkeys((*columns.numbers, *columns.categories))))
        for name, moment in zip(columns.numbers, moments, strict=True):
            moment.add(number_values(table.column(name))[0])
        for name, counter in zip(columns.categories, counted, strict=True):
            counter.update(each for each in _names(table.column(name))[0] if each is not None)
            if len(counter) > _MOST_COUNTED:  # an id, not a category: what is rare by now stays rare
                for each in [each for each, count in counter.items() if count == 1]:
                    del counter[each]
        rows += len(table)
        if progress is not None:
            progress(rows)
    return TabularEncoder(
        columns.numbers,
        tuple(moment.mean for moment in moments),
        tuple(moment.deviation for moment in moments),
        columns.categories,
        tuple(_most_frequent(counter, spec.vocabulary) for counter in counted),
    )


def _most_frequent(counter: Counter[str], count: int) -> tuple[str, ...]:
    ranked = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    return tuple(name for name, _ in ranked[:count])


def _note(reasons: Reasons, column: str, found: dict[int, str]) -> None:
    for row, reason in found.items():
        reasons.setdefault(row, (column, reason))


def _names(column: "pa.ChunkedArray[Any]") -> tuple[Sequence[str | None], dict[int, str]]:
    """Names of categories, None where there is none, and by row the reasons of those that cannot be read."""
    plain = plain_column(column)
    if pa.types.is_boolean(plain.type):
        plain = pc.cast(plain, pa.string())
    names, reasons = name_values(plain)
    return [name if name is not None and name.strip() else None for name in names], reasons
