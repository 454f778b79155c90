"""A CSV, JSON Lines or Parquet table that names pictures by paths, or holds them.

Pictures by path lie below the table's folder; a path, link or URL that leads elsewhere ends the import. Such a table
is listed first (about half a KiB of memory a row) and shuffled. A table that holds its pictures keeps its order, for
it is cheap to read from front to back only; of its rows just the names are listed.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

import xxhash

from mmdist.data.values import INVALID
from mmdist.errors import DataRefusedError, JobFileError, Place, StorageError
from mmdist.importing.files import inside, relative_path, stamp_of
from mmdist.importing.sources.base import Listing, Problem, Range, Ranges, RowKey, SourceFacts, SourceRow
from mmdist.importing.tables import Value, column_names, read_rows
from mmdist.spec.importing import TableSourceSpec
from mmdist.spec.suggest import did_you_mean, one_of
from mmdist.storage import Store, open_store

__all__ = ["TableSource"]

PARTS = ("id", "image", "text", "label")


class TableSource:
    """A table and the folder that its pictures lie in."""

    def __init__(self, spec: TableSourceSpec, *, split_columns: tuple[str, ...] = ()) -> None:
        self.spec = spec
        folder, _, self._file = spec.path.rstrip("/").rpartition("/")
        self._store: Store = open_store(folder or ("/" if spec.path.startswith("/") else "."))
        wanted = [*spec.columns, *(name for name in split_columns if name not in ("id", "label"))]
        self._values = tuple(dict.fromkeys(wanted))

    def check_columns(self) -> None:
        """Checks that the table is there and has the columns to read, by its header or schema; no row is read."""
        _ = self._columns

    @cached_property
    def _columns(self) -> tuple[str, ...]:
        """Every column of the table that is read, checked to exist; none of them twice."""
        spec = self.spec
        if not (spec.image or spec.image_bytes or spec.text):
            raise JobFileError(
                "the table has neither pictures nor texts to import",
                expected="`image`, `image_bytes` or `text` with a column's name",
                place=Place(key="import.source"),
            )
        if spec.image and spec.image_bytes:
            raise JobFileError(
                "`image` and `image_bytes` are both given",
                expected="one of them",
                place=Place(key="import.source.image_bytes"),
            )
        roles = {"id": spec.id, "image": spec.image, "image_bytes": spec.image_bytes, "text": spec.text}
        roles["label"] = spec.label
        for name in self._values:
            if name in PARTS and roles.get(name) != name:
                raise JobFileError(
                    f"a further column cannot be named `{name}`: the dataset has a part of that name",
                    place=Place(key="import.source.columns"),
                    remedy="rename the column in the table",
                )
        known = column_names(self._store, self._file)
        keys = [(f"import.source.{role}", name) for role, name in roles.items() if name is not None]
        keys += [(f"import.{'source.columns' if name in spec.columns else 'splits'}", name) for name in self._values]
        for key, name in keys:
            if known is not None and name not in known:
                raise JobFileError(
                    f"the table has no column `{name}`{did_you_mean(name, known)}",
                    expected=one_of(known),
                    received=name,
                    place=Place(file=f"{self._store.url}/{self._file}", key=key),
                )
        return tuple(dict.fromkeys(name for _, name in keys))

    def _listed(self) -> Iterator[tuple[int, dict[str, Value]]]:
        """Every row without the picture that it may hold. Raises when a column turns out to be empty in all rows."""
        listed = [name for name in self._columns if name != self.spec.image_bytes]
        empty, rows = set(listed), 0
        for number, row in read_rows(self._store, self._file, listed or list(self._columns)):
            rows += 1
            if empty:
                empty -= {name for name in listed if row[name] is not None}
            yield number, row
        place = Place(file=f"{self._store.url}/{self._file}")
        if rows == 0:
            raise DataRefusedError("the table has no rows", place=place)
        if empty:
            raise JobFileError(f"the column `{min(empty)}` is missing or empty in every row", place=place)

    def _key(self, number: int, row: dict[str, Value], ref: object) -> RowKey:
        spec = self.spec
        name = _text(row[spec.id]) if spec.id else str(number)
        values = {column: _text(row[column]) for column in self._values if column not in PARTS}
        values |= {"id": name, "label": _text(row[spec.label]) if spec.label else None}
        return RowKey(name or f"row {number}", values, ref=ref)

    @cached_property
    def _keys(self) -> list[RowKey]:
        text = self.spec.text
        return [
            self._key(
                number,
                row,
                _Ref(self._picture_path(row, number), _text(row[text]) if text else None, self._problem(row)),
            )
            for number, row in self._listed()
        ]

    def _problem(self, row: dict[str, Value]) -> Problem | None:
        spec = self.spec
        if spec.id and row[spec.id] is None:
            return Problem(spec.id, "the row has no id")
        for part, name in (("id", spec.id), ("label", spec.label), ("text", spec.text)):
            value = None if name is None else row[name]
            if isinstance(value, float) and part != "text":
                return Problem(part, f"a number that is no integer: {value}")
            if isinstance(value, bytes):
                try:
                    value.decode()
                except UnicodeDecodeError as error:
                    return Problem(part, f"{INVALID} at byte {error.start} of {len(value)}")
        return None

    def _picture_path(self, row: dict[str, Value], number: int) -> str | None:
        written = _text(row[self.spec.image]) if self.spec.image else None
        if written is None:
            return None
        place = Place(file=f"{self._store.url}/{self._file}", key=self.spec.image, row=number)
        path = relative_path(written, place)
        inside(self._store, path, place)
        return path

    def facts(self) -> SourceFacts:
        """The parts are those that the spec names columns for."""
        spec = self.spec
        parts = {"image": spec.image or spec.image_bytes, "text": spec.text, "label": spec.label}
        return SourceFacts(
            title=PurePosixPath(self._file).stem,
            description=f"Rows of the table {self._file}",
            licence="unknown",
            attribution="",
            parts=tuple(part for part, column in parts.items() if column),
            grouped=False,
            values=tuple(name for name in self._values if name not in PARTS),
            versions={},
        )

    def fingerprint(self) -> str:
        """Of the size and time of change of the table and, where they lie on local disks, of its pictures."""
        column_names(self._store, self._file)
        found = [stamp_of(self._store, self._file)]
        if self.spec.image and self._store.is_local:
            pictures = {key.ref.picture for key in self._keys if key.ref.picture is not None}
            found += [stamp_of(self._store, path) for path in sorted(pictures)]
        return hashlib.sha256(json.dumps(found).encode()).hexdigest()

    def plan(self, rows_per_part: int) -> Listing | Ranges:
        """A listing; of a table that holds its pictures, ranges of rows."""
        if not self.spec.image_bytes:
            return Listing(self._keys)
        ranges: list[Range] = []
        seen: set[int] = set()
        rows, first = 0, 1
        doubled: set[int] = set()
        number = 0
        for number, row in self._listed():
            if rows == rows_per_part:
                ranges.append(Range(_Rows(first, number, frozenset(doubled)), rows))
                rows, first, doubled = 0, number, set()
            rows += 1
            if self.spec.id:
                # Names as hashes: a table may have many millions of rows.
                name = xxhash.xxh3_64_intdigest((_text(row[self.spec.id]) or "").encode(errors="surrogatepass"))
                if name in seen:
                    doubled.add(number)
                seen.add(name)
        ranges.append(Range(_Rows(first, number + 1, frozenset(doubled)), rows))
        return Ranges(ranges)

    def read(self, what: Sequence[RowKey] | Range) -> Iterator[SourceRow]:
        """Rows with their pictures as they are in the files or the table."""
        if isinstance(what, Range):
            yield from self._read_range(what.ref)
            return
        for key in what:
            image, problem = None, key.ref.problem
            if problem is None and key.ref.picture is not None:
                try:
                    # A pipe in a picture's place would be waited for without end.
                    if self._store.is_local and stamp_of(self._store, key.ref.picture)[1] < 0:
                        raise FileNotFoundError
                    image = self._store.read_bytes(key.ref.picture)
                except FileNotFoundError:
                    problem = Problem("image", f"there is no file {key.ref.picture}")
                except StorageError as error:
                    problem = Problem("image", f"the file {key.ref.picture} cannot be read: {error.received}")
            yield SourceRow(key, image, key.ref.text, key.values["label"], problem)

    def _read_range(self, rows: "_Rows") -> Iterator[SourceRow]:
        spec = self.spec
        for number, row in read_rows(self._store, self._file, self._columns, start=rows.first, stop=rows.stop):
            key = self._key(number, row, None)
            problem = self._problem(row)
            if problem is None and number in rows.doubled:
                problem = Problem("id", "a row before has the same id")
            image = None
            if problem is None:
                image, problem = _picture(row[spec.image_bytes or ""])
            yield SourceRow(key, image, _text(row[spec.text]) if spec.text else None, key.values["label"], problem)


@dataclass(frozen=True, slots=True)
class _Ref:
    picture: str | None
    text: str | None
    problem: Problem | None


@dataclass(frozen=True, slots=True)
class _Rows:
    first: int
    stop: int
    doubled: frozenset[int]


def _picture(value: Value) -> tuple[bytes | None, Problem | None]:
    if value is None or isinstance(value, bytes):
        return value, None
    try:
        return base64.b64decode(str(value), validate=True), None
    except (binascii.Error, ValueError) as error:
        return None, Problem("image", f"the picture is not Base64: {error}")


def _text(value: Value) -> str | None:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value) if isinstance(value, float) else value
