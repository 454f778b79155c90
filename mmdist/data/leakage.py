"""Rows that a split shares with an earlier one: counted by part, with a few pairs read back to be named and shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmdist.data.dataset import Dataset
from mmdist.data.duplicates import Hashes, Looks, Pairs, near_pictures, same_values
from mmdist.data.group_look import Example
from mmdist.data.prepare import image_views
from mmdist.data.sound_look import spectrogram
from mmdist.data.values import name_values, text_values
from mmdist.spec.data import ColumnsSpec

__all__ = ["Match", "MatchedPair", "find_shared"]

SplitMarks = tuple[str, Dataset, dict[str, Hashes], Looks]
"""A split's name, its rows, their hashes by part, and what its pictures look like."""

_SHOWN_PAIRS = 3
_PARTS = ("id", "image", "text", "audio")
_NEAR = ("image", "text")


@dataclass(frozen=True)
class MatchedPair:
    """A row and the one in the other split that it agrees with."""

    mine: Example
    theirs: Example
    levels: float | None
    """Of near pictures, how far apart they are, in levels of 255."""


@dataclass(frozen=True)
class Match:
    """What a split shares with an earlier one, in one part."""

    part: str
    """`id`, `image`, `text` or `audio`."""
    is_near: bool
    """Whether the pictures nearly look alike, or the texts are equal but for case, punctuation and spacing."""
    split: str
    other: str
    rows: int
    """Rows of the split."""
    pairs: tuple[MatchedPair, ...]
    """A few of them."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in the facts."""
        return {
            "part": self.part,
            "near": self.is_near,
            "split": self.split,
            "with": self.other,
            "rows": self.rows,
            "examples": [
                {"id": pair.mine.id, "with_id": pair.theirs.id}
                | ({"levels": round(pair.levels, 2)} if pair.levels is not None else {})
                for pair in self.pairs
            ],
        }


def find_shared(splits: Sequence[SplitMarks], columns: ColumnsSpec) -> list[Match]:
    """Compares each split with those before it. Near ones leave out the rows that share the same part exactly.

    Raises:
        DataRefusedError: where a row that is to be shown cannot be read.
    """
    found = []
    for number, mine in enumerate(splits):
        for theirs in splits[:number]:
            for part in _PARTS:
                same = _same(mine, theirs, part)
                found.append(_match(part, mine, theirs, same, columns, is_near=False))
                if part not in _NEAR:
                    continue
                near = near_pictures(mine[3], theirs[3]) if part == "image" else _same(mine, theirs, "words")
                found.append(_match(part, mine, theirs, _without(near, same), columns, is_near=True))
    return [match for match in found if match.rows]


def _same(mine: SplitMarks, theirs: SplitMarks, part: str) -> Pairs:
    return same_values(mine[2].get(part, Hashes()), theirs[2].get(part, Hashes()))


def _without(pairs: Pairs, others: Pairs) -> Pairs:
    keep = ~np.isin(pairs.mine, others.mine)
    return Pairs(pairs.mine[keep], pairs.theirs[keep], None if pairs.levels is None else pairs.levels[keep])


def _match(
    part: str, mine: SplitMarks, theirs: SplitMarks, pairs: Pairs, columns: ColumnsSpec, *, is_near: bool
) -> Match:
    # Of near pictures the nearest are shown: they convince at once.
    order = np.argsort(pairs.levels, kind="stable") if pairs.levels is not None else np.arange(len(pairs))
    shown = tuple(
        MatchedPair(
            _read(mine[1], int(pairs.mine[at]), columns),
            _read(theirs[1], int(pairs.theirs[at]), columns),
            None if pairs.levels is None else float(pairs.levels[at]),
        )
        for at in order[:_SHOWN_PAIRS].tolist()
    )
    return Match(part, is_near, mine[0], theirs[0], len(pairs), shown)


def _read(dataset: Dataset, row: int, columns: ColumnsSpec) -> Example:
    index = dataset.index
    group = int(np.searchsorted(index.first_rows, row, side="right")) - 1
    parts = (columns.id, columns.image, columns.text, columns.audio, columns.label)
    names = [name for name in parts if name is not None]
    table = dataset.read_row_group(group, list(dict.fromkeys(names))).slice(row - int(index.first_rows[group]), 1)
    first_of_shard = int(index.first_rows[np.searchsorted(index.shard, index.shard[group])])
    name = None if columns.id is None else name_values(table.column(columns.id))[0][0]
    view = None if columns.image is None else image_views(table.column(columns.image))[0]
    sound = None if columns.audio is None else image_views(table.column(columns.audio))[0]
    return Example(
        place=0,
        row=row,
        id=name or f"{index.shard_name(group)}#{row - first_of_shard}",
        picture=None if view is None else bytes(view),
        text=None if columns.text is None else text_values(table.column(columns.text))[0][0],
        label=None if columns.label is None else name_values(table.column(columns.label))[0][0],
        sound=None if sound is None else spectrogram(sound),
    )
