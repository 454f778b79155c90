"""A folder with one sub-folder of pictures or recordings per label; files of one stem are one row.

A row is a picture, with the recording and the `.txt` that lie beside it under the same stem, or else a recording with
its text. Its id is the path of that first file below the folder. Files may lie deeper than one level below their
label's folder. Hidden files are passed over; other files, and those directly in the folder, are counted.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from mmdist.errors import DataRefusedError, JobFileError, Place, StorageError
from mmdist.importing.files import Stamp, stamps
from mmdist.importing.sources.base import FILES, PARTS, Listing, Problem, RowKey, SourceFacts, SourceRow
from mmdist.spec.importing import FolderSourceSpec
from mmdist.storage import open_store

__all__ = ["SUFFIXES", "FolderSource"]

SUFFIXES = {"image": (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"), "audio": (".wav", ".flac"), "text": (".txt",)}
"""By part, how the names of its files end."""
# A file that went away, one that may not be read, and a name in another encoding than UTF-8.
UNREADABLE = (FileNotFoundError, StorageError, UnicodeEncodeError)


@dataclass(frozen=True, slots=True)
class _Ref:
    """Where the parts of a row lie."""

    files: dict[str, str]
    text: str | None
    label: str


@dataclass(frozen=True)
class _Listing:
    keys: list[RowKey]
    parts: tuple[str, ...]
    others: int
    """Files that belong to no row."""


class FolderSource:
    """Pictures and recordings by label, listed once."""

    def __init__(self, spec: FolderSourceSpec) -> None:
        self.spec = spec
        self._store = open_store(spec.path)

    @cached_property
    def _files(self) -> list[Stamp]:
        if not self._store.exists():
            raise JobFileError(
                "the folder to import does not exist",
                expected="a folder with one sub-folder of pictures or recordings per label",
                received=self.spec.path,
                place=Place(key="import.source.path"),
            )
        return stamps(self._store)

    @cached_property
    def _listing(self) -> _Listing:
        by_stem: dict[PurePosixPath, dict[str, list[str]]] = {}
        for path, _, _ in self._files:
            name = PurePosixPath(path)
            part = next((part for part, ends in SUFFIXES.items() if name.suffix.lower() in ends), None)
            if part is not None and len(name.parts) > 1:
                by_stem.setdefault(name.with_suffix(""), {}).setdefault(part, []).append(path)
        keys: list[RowKey] = []
        used: set[str] = set()
        found = {"label"}
        for stem, files in by_stem.items():
            first = next((part for part in FILES if part in files), None)
            for path in files[first] if first is not None else ():
                beside = {part: paths[0] for part, paths in files.items()} | {str(first): path}
                used.update(beside.values())
                found.update(beside)
                text, label = beside.pop("text", None), stem.parts[0]
                keys.append(RowKey(path, {"id": path, "label": label}, ref=_Ref(beside, text, label)))
        keys.sort(key=lambda key: key.id)
        return _Listing(keys, tuple(part for part in PARTS if part in found), len(self._files) - len(used))

    def facts(self) -> SourceFacts:
        """A part is one of the rows' when at least one row has it."""
        listing, name = self._listing, PurePosixPath(self._store.root).name
        kinds = " and ".join(f"{word}s" for part, word in FILES.items() if part in listing.parts) or "files"
        others = {f"files that are no {' or '.join(FILES.values())} of a label": listing.others}
        return SourceFacts(
            title=name,
            description=f"{kinds.capitalize()} of the folder {name}, one sub-folder per label",
            licence="unknown",
            attribution="",
            parts=listing.parts,
            grouped=False,
            values=(),
            versions={},
            left_out=others if listing.others else {},
        )

    def fingerprint(self) -> str:
        """Of every file's path, size and time of change."""
        return hashlib.sha256(json.dumps(self._files).encode()).hexdigest()

    def plan(self, rows_per_part: int) -> Listing:
        """One key per row. Raises DataRefusedError where there is none."""
        if not self._listing.keys:
            raise DataRefusedError(
                "the folder holds neither pictures nor recordings",
                expected=f"sub-folders, one per label, with {', '.join(sorted(SUFFIXES['image'] + SUFFIXES['audio']))}",
                received=f"{self._listing.others} other files",
                place=Place(file=self._store.url),
            )
        return Listing(self._listing.keys)

    def read(self, what: Sequence[RowKey]) -> Iterator[SourceRow]:
        """The files as they are, and the texts without white space around them."""
        for key in what:
            ref: _Ref = key.ref
            parts: dict[str, Any] = {}
            try:
                for part, path in ref.files.items():
                    parts[part] = self._read(path, part)
                if ref.text is not None:
                    parts["text"] = self._read(ref.text, "text").decode("utf-8").strip()
            except _UnreadableError as error:
                yield SourceRow(key, problem=error.problem)
            except UnicodeDecodeError:
                yield SourceRow(key, problem=Problem("text", "the text is not UTF-8"))
            else:
                yield SourceRow(key, label=ref.label, **parts)

    def _read(self, path: str, part: str) -> bytes:
        try:
            return self._store.read_bytes(path)
        except UNREADABLE as error:
            raise _UnreadableError(Problem(part, f"the file cannot be read: {_first_line(error)}")) from error


class _UnreadableError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.reason)
        self.problem = problem


def _first_line(error: Exception) -> str:
    return str(getattr(error, "received", None) or error).splitlines()[0]
