"""What every source of a dataset answers: what it is, which rows it has, and the rows themselves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = [
    "FILES",
    "PARTS",
    "Listing",
    "Problem",
    "Range",
    "Ranges",
    "RowKey",
    "Source",
    "SourceFacts",
    "SourceRow",
]

PARTS = ("image", "text", "audio", "label")
"""What a row consists of, in the order that it is stored in."""
FILES = {"image": "picture", "audio": "recording"}
"""The parts that are encoded files, and what a user calls them."""


@dataclass(frozen=True)
class SourceFacts:
    """What the card of a dataset tells about its source."""

    title: str
    description: str
    licence: str
    attribution: str
    parts: tuple[str, ...]
    """The parts of a row that the source has: some of `PARTS`."""
    grouped: bool
    """Whether rows carry a group of the source's own (variants of one thing)."""
    values: tuple[str, ...]
    """Further columns, kept as strings and usable for splits."""
    versions: Mapping[str, str]
    """Versions of the packages that made the rows."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What the source holds and does not give, by reason."""


@dataclass(frozen=True, slots=True)
class RowKey:
    """A row's name and what its split can depend on; `ref` is the source's own way to find the row again."""

    id: str
    values: dict[str, str | None]
    """`id`, `label` and the further columns, as far as they are known before the row is read."""
    group: str | None = None
    ref: Any = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row cannot be used: the column that the reason is about ("" for the whole row), and one sentence."""

    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row as it was read. `image` and `audio` are encoded; a part that the row lacks is None."""

    key: RowKey
    image: bytes | None = None
    text: str | None = None
    audio: bytes | None = None
    label: str | None = None
    problem: Problem | None = None


@dataclass(frozen=True)
class Listing:
    """All rows by their keys, in the source's order; each can be read on its own, so they may be shuffled."""

    keys: Sequence[RowKey]


@dataclass(frozen=True)
class Range:
    """Consecutive rows of a source that is read from front to back."""

    ref: Any
    rows: int


@dataclass(frozen=True)
class Ranges:
    """Rows that are cheap to read only in the source's order, in ranges of at most `rows_per_part` rows."""

    ranges: Sequence[Range]


class Source(Protocol):
    """Where rows come from. It is made anew, from its spec, in every process that reads from it."""

    def facts(self) -> SourceFacts:
        """What the source is."""
        ...

    def fingerprint(self) -> str:
        """Hex; another one means other rows."""
        ...

    def plan(self, rows_per_part: int) -> Listing | Ranges:
        """Which rows there are.

        Raises:
            DataRefusedError: when the source as a whole cannot be used.
            JobFileError: when the spec asks for what the source does not have.
        """
        ...

    def read(self, what: Any) -> Iterator[SourceRow]:
        """Rows of the plan, in the given order. A row that cannot be read comes with its problem.

        Args:
            what: Some of the listing's keys, or one of the ranges, whichever kind of plan the source makes.
        """
        ...
