"""Rows that two splits share: by content hash, by normalised text, and by how a picture looks at a glance. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from unicodedata import normalize

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from scipy.spatial import KDTree

Number = TypeVar("Number", bound=np.generic)

__all__ = [
    "NEAR_LEVELS",
    "THUMB_SIDE",
    "Hashes",
    "Looks",
    "Pairs",
    "hash_values",
    "joined",
    "looks_of",
    "near_pictures",
    "normalised",
    "same_values",
]

THUMB_SIDE = 32
"""Rows and columns of the thumbnails that pictures are compared by."""
NEAR_LEVELS = 2.0
"""Root mean square difference, in levels of 255, up to which two pictures count as near.

Of 600 emoji, 99 in 100 stay below 1.8 in another JPEG quality (40 to 95), as WebP or at half the size; another emoji
within 2.0 is the same drawing or differs by a stroke.
"""
_CELLS = 8
_LUMA = np.array((0.299, 0.587, 0.114), np.float32)
_NOT_WORDS = r"[^\p{L}\p{M}\p{N}]+"


@dataclass
class _Found(Generic[Number]):
    """Something of each of some rows of a split, and the rows it is of; grown part by part."""

    values: list[npt.NDArray[Number]] = field(default_factory=list)
    rows: list[npt.NDArray[np.int64]] = field(default_factory=list)

    def add(self, values: npt.NDArray[Number], rows: npt.NDArray[np.int64]) -> None:
        """Adds n values with their rows' numbers in the split."""
        self.values.append(values)
        self.rows.append(rows)


@dataclass
class Hashes(_Found[np.uint64]):
    """A 64-bit hash of each value of a split, and the row it is of."""

    @property
    def repeated(self) -> int:
        """Rows whose value an earlier row of the split has."""
        values = joined(self.values, np.uint64)
        return len(values) - len(np.unique(values))


@dataclass
class Looks(_Found[np.uint8]):
    """What pictures of a split look like, uint8 (n, 96), and the rows they are of."""


@dataclass(frozen=True)
class Pairs:
    """Rows of one split, each with one row of another that it agrees with. Numbers are those within the splits."""

    mine: npt.NDArray[np.int64]
    theirs: npt.NDArray[np.int64]
    levels: npt.NDArray[np.float64] | None = None
    """Of near pictures, how far apart they are."""

    def __len__(self) -> int:
        return len(self.mine)


def hash_values(values: Sequence[bytes | memoryview | str]) -> npt.NDArray[np.uint64]:
    """XXH3 of each value, uint64 (n,)."""
    data = (value.encode() if isinstance(value, str) else value for value in values)
    return np.fromiter(map(xxhash.xxh3_64_intdigest, data), np.uint64, len(values))


def normalised(texts: Sequence[str]) -> list[str]:
    """Texts without case, punctuation and spacing, in NFKC; empty where nothing is left."""
    column = pa.array([normalize("NFKC", text).lower() for text in texts], pa.large_string())
    words = pc.utf8_trim_whitespace(pc.replace_substring_regex(column, _NOT_WORDS, " "))
    return [word or "" for word in words.to_pylist()]


def looks_of(thumbnails: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """What is compared of thumbnails, uint8 (n, 32, 32, 3): 8 x 8 gray values, 4 x 4 colors; uint8 (n, 96)."""
    count, side = len(thumbnails), THUMB_SIDE // _CELLS
    bands = thumbnails.reshape(count, _CELLS, side, THUMB_SIDE * 3).sum(axis=2, dtype=np.uint16)
    cells = bands.reshape(count, _CELLS, _CELLS, side, 3).sum(axis=3).astype(np.float32) / side**2
    gray = cells @ _LUMA
    half = _CELLS // 2
    color = (cells[..., (0, 2)] - gray[..., None]).reshape(count, half, 2, half, 2, 2).mean(axis=(2, 4)) / 2 + 128
    numbers: npt.NDArray[np.float32] = np.concatenate([gray.reshape(count, -1), color.reshape(count, -1)], axis=1)
    return np.rint(numbers).astype(np.uint8)


def same_values(mine: Hashes, theirs: Hashes) -> Pairs:
    """The rows of one split whose value the other has too, each with the first row there."""
    values, rows = joined(mine.values, np.uint64), joined(mine.rows, np.int64)
    known, first = np.unique(joined(theirs.values, np.uint64), return_index=True)
    if not len(known):
        return Pairs(rows[:0], rows[:0])
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    found = known[at] == values
    return Pairs(rows[found], joined(theirs.rows, np.int64)[first[at[found]]])


def near_pictures(mine: Looks, theirs: Looks) -> Pairs:
    """The pictures of one split that nearly look like one of the other, each with the nearest; equal ones too."""
    rows, other_rows = joined(mine.rows, np.int64), joined(theirs.rows, np.int64)
    if not len(rows) or not len(other_rows):
        return Pairs(rows[:0], rows[:0], np.empty(0))
    # Within so short a distance the tree looks into few cells, whatever the number of dimensions.
    tree = KDTree(np.concatenate(theirs.values), balanced_tree=False, compact_nodes=False)
    scale = np.sqrt(tree.m)
    distance, nearest = tree.query(np.concatenate(mine.values), distance_upper_bound=NEAR_LEVELS * scale)
    found = np.isfinite(distance)
    return Pairs(rows[found], other_rows[nearest[found]], distance[found] / scale)


def joined(parts: Sequence[npt.NDArray[Number]], kind: type[Number]) -> npt.NDArray[Number]:
    """The parts as one array, empty where there are none."""
    return np.concatenate(parts) if parts else np.empty(0, kind)
