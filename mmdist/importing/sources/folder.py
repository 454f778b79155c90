"""A folder with one sub-folder of pictures per label; a `.txt` of a picture's stem is its text.

A row's id is its picture's path below the folder. Pictures may lie deeper than one level below their label's folder.
Hidden files are passed over; other files that are no pictures, and those directly in the folder, are counted.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import PurePosixPath

from mmdist.errors import DataRefusedError, JobFileError, Place, StorageError
from mmdist.importing.files import Stamp, stamps
from mmdist.importing.sources.base import Listing, Problem, RowKey, SourceFacts, SourceRow
from mmdist.spec.importing import FolderSourceSpec
from mmdist.storage import open_store

__all__ = ["PICTURE_SUFFIXES", "FolderSource"]

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"}
TEXT_SUFFIX = ".txt"
# A file that went away, one that may not be read, and a name in another encoding than UTF-8.
UNREADABLE = (FileNotFoundError, StorageError, UnicodeEncodeError)


class FolderSource:
    """Pictures by label, listed once."""

    def __init__(self, spec: FolderSourceSpec) -> None:
        self.spec = spec
        self._store = open_store(spec.path)

    @cached_property
    def _files(self) -> list[Stamp]:
        if not self._store.exists():
            raise JobFileError(
                "the folder to import does not exist",
                expected="a folder with one sub-folder of pictures per label",
                received=self.spec.path,
                place=Place(key="import.source.path"),
            )
        return stamps(self._store)

    @cached_property
    def _listing(self) -> tuple[list[RowKey], int, bool]:
        texts = {path for path, _, _ in self._files if PurePosixPath(path).suffix.lower() == TEXT_SUFFIX}
        keys, used = [], set()
        for path, _, _ in self._files:
            name = PurePosixPath(path)
            if name.suffix.lower() not in PICTURE_SUFFIXES or len(name.parts) < 2:
                continue
            text = str(name.with_suffix(TEXT_SUFFIX))
            used.update({path, text})
            label = name.parts[0]
            keys.append(RowKey(path, {"id": path, "label": label}, ref=(text if text in texts else None, label)))
        others = sum(path not in used for path, _, _ in self._files)
        return keys, others, bool(used & texts)

    def facts(self) -> SourceFacts:
        """Text is a part of the rows when at least one picture has one."""
        _, others, with_text = self._listing
        return SourceFacts(
            title=PurePosixPath(self._store.root).name,
            description=f"Pictures of the folder {PurePosixPath(self._store.root).name}, one sub-folder per label",
            licence="unknown",
            attribution="",
            parts=("image", "text", "label") if with_text else ("image", "label"),
            grouped=False,
            values=(),
            versions={},
            left_out={"files that are no pictures of a label": others} if others else {},
        )

    def fingerprint(self) -> str:
        """Of every file's path, size and time of change."""
        return hashlib.sha256(json.dumps(self._files).encode()).hexdigest()

    def plan(self, rows_per_part: int) -> Listing:
        """One key per picture. Raises DataRefusedError where there is none."""
        keys, others, _ = self._listing
        if not keys:
            raise DataRefusedError(
                "the folder holds no pictures",
                expected=f"sub-folders, one per label, with {', '.join(sorted(PICTURE_SUFFIXES))}",
                received=f"{others} other files",
                place=Place(file=self._store.url),
            )
        return Listing(keys)

    def read(self, what: Sequence[RowKey]) -> Iterator[SourceRow]:
        """The pictures' files as they are, and the texts without white space around them."""
        for key in what:
            text_path, label = key.ref
            try:
                image = self._store.read_bytes(key.id)
            except UNREADABLE as error:
                yield SourceRow(key, problem=Problem("image", f"the file cannot be read: {_first_line(error)}"))
                continue
            text = None
            if text_path is not None:
                try:
                    text = self._store.read_bytes(text_path).decode("utf-8").strip()
                except UnicodeDecodeError:
                    yield SourceRow(key, problem=Problem("text", "the text is not UTF-8"))
                    continue
                except UNREADABLE as error:
                    yield SourceRow(key, problem=Problem("text", f"the file cannot be read: {_first_line(error)}"))
                    continue
            yield SourceRow(key, image=image, text=text, label=label)


def _first_line(error: Exception) -> str:
    return str(getattr(error, "received", None) or error).splitlines()[0]
