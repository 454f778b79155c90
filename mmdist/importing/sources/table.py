"""A CSV, JSON Lines or Parquet table that names pictures and recordings by paths, or holds them.

Files by path lie below the table's folder; a path, link or URL that leads elsewhere ends the import. Such a table
is listed first (about half a KiB of memory a row) and shuffled. A table that holds its files keeps its order, for
it is cheap to read from front to back only; of its rows just the names are listed.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath

import xxhash

from mmdist.data.values import INVALID
from mmdist.errors import DataRefusedError, JobFileError, Place, StorageError
from mmdist.importing.files import inside, relative_path, stamp_of
from mmdist.importing.sources.base import (
    FILES,
    PARTS,
    Listing,
    Problem,
    Range,
    Ranges,
    RowKey,
    SourceFacts,
    SourceRow,
)
from mmdist.importing.tables import Value, column_names, read_rows
from mmdist.spec.importing import TableSourceSpec
from mmdist.spec.suggest import did_you_mean, one_of
from mmdist.storage import Store, open_store

__all__ = ["TableSource"]

NAMES = ("id", *PARTS)


class TableSource:
    """A table and the folder that its files lie in."""

    def __init__(self, spec: TableSourceSpec, *, split_columns: tuple[str, ...] = ()) -> None:
        self.spec = spec
        folder, _, self._file = spec.path.rstrip("/").rpartition("/")
        self._store: Store = open_store(folder or ("/" if spec.path.startswith("/") else "."))
        wanted = [*spec.columns, *(name for name in split_columns if name not in ("id", "label"))]
        self._values = tuple(dict.fromkeys(wanted))
        self._named = {part: getattr(spec, part) for part in FILES if getattr(spec, part)}
        self._held = {part: getattr(spec, f"{part}_bytes") for part in FILES if getattr(spec, f"{part}_bytes")}

    def check_columns(self) -> None:
        """Checks that the table is there and has the columns to read, by its header or schema; no row is read."""
        _ = self._columns

    @cached_property
    def _columns(self) -> tuple[str, ...]:
        """Every column of the table that is read, checked to exist; none of them twice."""
        spec = self.spec
        if not (self._named or self._held or spec.text):
            raise JobFileError(
                "the table has neither pictures nor texts nor recordings to import",
                expected="`image`, `image_bytes`, `text`, `audio` or `audio_bytes` with a column's name",
                place=Place(key="import.source"),
            )
        for part in self._named.keys() & self._held.keys():
            raise JobFileError(
                f"`{part}` and `{part}_bytes` are both given",
                expected="one of them",
                place=Place(key=f"import.source.{part}_bytes"),
            )
        roles = {"id": spec.id, "text": spec.text, "label": spec.label, **self._named}
        roles |= {f"{part}_bytes": name for part, name in self._held.items()}
        for name in self._values:
            if name in NAMES and roles.get(name) != name:
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
        """Every row without the files that it may hold. Raises when a column turns out to be empty in all rows."""
        listed = [name for name in self._columns if name not in self._held.values()]
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
        values = {column: _text(row[column]) for column in self._values if column not in NAMES}
        values |= {"id": name, "label": _text(row[spec.label]) if spec.label else None}
        return RowKey(name or f"row {number}", values, ref=ref)

    @cached_property
    def _keys(self) -> list[RowKey]:
        return [self._key(number, row, self._ref(number, row)) for number, row in self._listed()]

    def _ref(self, number: int, row: dict[str, Value]) -> "_Ref":
        paths = {part: self._path(row[column], column, number) for part, column in self._named.items()}
        text = _text(row[self.spec.text]) if self.spec.text else None
        return _Ref(**paths, text=text, problem=self._problem(row))

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

    def _path(self, value: Value, column: str, number: int) -> str | None:
        written = _text(value)
        if written is None:
            return None
        place = Place(file=f"{self._store.url}/{self._file}", key=column, row=number)
        path = relative_path(written, place)
        inside(self._store, path, place)
        return path

    def facts(self) -> SourceFacts:
        """The parts are those that the spec names columns for."""
        spec = self.spec
        parts = {"text": spec.text, "label": spec.label, **self._named, **self._held}
        return SourceFacts(
            title=PurePosixPath(self._file).stem,
            description=f"Rows of the table {self._file}",
            licence="unknown",
            attribution="",
            parts=tuple(part for part in PARTS if parts.get(part)),
            grouped=False,
            values=tuple(name for name in self._values if name not in NAMES),
            versions={},
        )

    def fingerprint(self) -> str:
        """Of the size and time of change of the table and, where they lie on local disks, of its files."""
        column_names(self._store, self._file)
        found = [stamp_of(self._store, self._file)]
        if self._named and self._store.is_local:
            paths = {path for key in self._keys for path in (key.ref.image, key.ref.audio) if path is not None}
            found += [stamp_of(self._store, path) for path in sorted(paths)]
        return hashlib.sha256(json.dumps(found).encode()).hexdigest()

    def plan(self, rows_per_part: int) -> Listing | Ranges:
        """A listing; of a table that holds its files, ranges of rows."""
        if not self._held:
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
        """Rows with their pictures and recordings as they are in the files or the table."""
        if isinstance(what, Range):
            yield from self._read_range(what.ref)
        else:
            for key in what:
                yield self._row(key, key.ref, {})

    def _read_range(self, rows: "_Rows") -> Iterator[SourceRow]:
        for number, row in read_rows(self._store, self._file, self._columns, start=rows.first, stop=rows.stop):
            ref = self._ref(number, row)
            if ref.problem is None and number in rows.doubled:
                ref = replace(ref, problem=Problem("id", "a row before has the same id"))
            yield self._row(self._key(number, row, None), ref, {part: row[name] for part, name in self._held.items()})

    def _row(self, key: RowKey, ref: "_Ref", held: dict[str, Value]) -> SourceRow:
        files: dict[str, bytes | None] = {}
        problem = ref.problem
        for part in FILES:
            if problem is None and part in held:
                files[part], problem = _decoded(held[part], part)
            elif problem is None:
                files[part], problem = self._read_file(getattr(ref, part), part)
        return SourceRow(key, text=ref.text, label=key.values["label"], problem=problem, **files)

    def _read_file(self, path: str | None, part: str) -> tuple[bytes | None, Problem | None]:
        if path is None:
            return None, None
        try:
            # A pipe in a file's place would be waited for without end.
            if self._store.is_local and stamp_of(self._store, path)[1] < 0:
                raise FileNotFoundError
            return self._store.read_bytes(path), None
        except FileNotFoundError:
            return None, Problem(part, f"there is no file {path}")
        except StorageError as error:
            return None, Problem(part, f"the file {path} cannot be read: {error.received}")


@dataclass(frozen=True, slots=True)
class _Ref:
    """Where the files of a row lie, its text, and why it cannot be used whatever they hold."""

    text: str | None
    problem: Problem | None
    image: str | None = None
    audio: str | None = None


@dataclass(frozen=True, slots=True)
class _Rows:
    first: int
    stop: int
    doubled: frozenset[int]


def _decoded(value: Value, part: str) -> tuple[bytes | None, Problem | None]:
    if value is None or isinstance(value, bytes):
        return value, None
    try:
        return base64.b64decode(str(value), validate=True), None
    except (binascii.Error, ValueError) as error:
        return None, Problem(part, f"the {FILES[part]} is not Base64: {error}")


def _text(value: Value) -> str | None:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value) if isinstance(value, float) else value
