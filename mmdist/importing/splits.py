"""Says which split a row belongs to, from the row and the seed alone. No I/O."""

import hashlib
import math

from mmdist.errors import JobFileError, Place
from mmdist.importing.sources import PARTS, Problem, RowKey, SourceFacts
from mmdist.spec.importing import ColumnSplitsSpec, ShareSplitsSpec, SplitsSpec
from mmdist.spec.suggest import did_you_mean, one_of

__all__ = [
    "SPLITS",
    "check_columns",
    "check_splits",
    "group_of",
    "possible_splits",
    "shuffle_key",
    "split_columns",
    "split_of",
]

SPLITS = ("train", "validation", "test")


def split_columns(spec: SplitsSpec) -> tuple[str, ...]:
    """The columns that splits depend on, beside a source's own groups."""
    match spec:
        case ShareSplitsSpec():
            return (spec.group,) if spec.group else ()
        case ColumnSplitsSpec():
            return (spec.column,)


def check_splits(spec: SplitsSpec, facts: SourceFacts) -> None:
    """Checks the splits against each other and against what the source has.

    Raises:
        JobFileError: when shares do not add up to 1, a value is in two splits, or there is no such column.
    """
    match spec:
        case ShareSplitsSpec():
            shares = [getattr(spec, split) for split in SPLITS]
            if not math.isclose(sum(shares), 1.0, abs_tol=1e-6):
                raise JobFileError(
                    "the shares of the splits must add up to 1",
                    expected="train + validation + test = 1",
                    received=" + ".join(str(share) for share in shares) + f" = {sum(shares):g}",
                    place=Place(key="import.splits"),
                )
            if spec.group not in (None, "group") and "group" in facts.values:
                raise JobFileError(
                    "a further column cannot be named `group` when rows are grouped by another one",
                    expected="group: group, or another name for that column",
                    received=f"group: {spec.group}",
                    place=Place(key="import.splits.group"),
                )
            key = "import.splits.group"
        case ColumnSplitsSpec():
            values = [value for split in SPLITS for value in getattr(spec, split)]
            doubled = sorted({value for value in values if values.count(value) > 1})
            if doubled:
                raise JobFileError(f"the value `{doubled[0]}` belongs to two splits", place=Place(key="import.splits"))
            key = "import.splits.column"
    known = ["id", *(part for part in facts.parts if part == "label"), *facts.values]
    for column in split_columns(spec):
        if column not in known:
            raise JobFileError(
                f"the source has no column `{column}` to split by{did_you_mean(column, known)}",
                expected=one_of(known),
                received=column,
                place=Place(key=key),
            )


def check_columns(facts: SourceFacts) -> None:
    """Checks the names of further columns.

    Raises:
        JobFileError: when one is the name of a part of a row, or is there twice.
    """
    for number, name in enumerate(facts.values):
        if name in ("id", *PARTS) or name in facts.values[:number]:
            raise JobFileError(
                f"a further column cannot be named `{name}`: the dataset has a column of that name",
                expected=f"names other than `id`, {', '.join(f'`{part}`' for part in PARTS)}, each once",
                place=Place(key="import.source.columns"),
                remedy="give the column another name",
            )


def possible_splits(spec: SplitsSpec) -> tuple[str, ...]:
    """The splits that rows can fall into."""
    return tuple(split for split in SPLITS if getattr(spec, split))


def group_of(spec: SplitsSpec, key: RowKey) -> str | None:
    """The group whose rows stay together: the named column's value, or else the source's own group."""
    if isinstance(spec, ShareSplitsSpec) and spec.group:
        return key.values.get(spec.group)
    return key.group


def split_of(spec: SplitsSpec, key: RowKey, *, seed: int) -> str | Problem:
    """The row's split, or why it has none. It never depends on another row."""
    match spec:
        case ShareSplitsSpec():
            # A group and an id of the same name are different things to draw for.
            group = group_of(spec, key)
            drawn = _draw(seed, "id", key.id) if group is None else _draw(seed, "group", group)
            top = 0.0
            for split in SPLITS:
                top += getattr(spec, split)
                if drawn < top:
                    return split
            return possible_splits(spec)[-1]
        case ColumnSplitsSpec():
            value = key.values.get(spec.column)
            for split in SPLITS:
                if value in getattr(spec, split):
                    return split
            shown = "nothing" if value is None else f"`{value}`"
            return Problem(spec.column, f"no split has {shown} among its values")


def shuffle_key(seed: int, row_id: str) -> bytes:
    """16 bytes that order the rows of a listing as if shuffled, whatever order the source lists them in."""
    return _digest(seed, "order", row_id)


def _draw(seed: int, kind: str, name: str) -> float:
    return int.from_bytes(_digest(seed, kind, name)[:7], "big") / (1 << 56)


def _digest(seed: int, kind: str, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}\0{kind}\0{name}".encode(errors="surrogatepass"), digest_size=16).digest()
