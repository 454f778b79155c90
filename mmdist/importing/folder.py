"""The folder that a dataset is imported into: who owns it, what is in it, and when it is finished.

    DATASET/dataset.json      the card, after all splits
    DATASET/COMMITTED         last: the card's SHA-256
    DATASET/SPLIT/            `_mmdist.json` first, shards, `_index.parquet` last
    DATASET/quarantine/       `_mmdist.json` first, rows that were set aside, with their reasons

Only a file of a name that importing gives, in a folder with `_mmdist.json`, is ever deleted.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from mmdist.data.index import INDEX_FILE
from mmdist.errors import DataRefusedError, Place
from mmdist.importing.splits import SPLITS
from mmdist.storage import Store

__all__ = ["QUARANTINE", "DatasetFolder", "part_name"]

CARD, COMMITTED, OWNER = "dataset.json", "COMMITTED", "_mmdist.json"
QUARANTINE = "quarantine"
VERSION = 1
PART = re.compile(r"part-\d{5,}\.parquet")


def part_name(number: int) -> str:
    """The file name of a part's shard, from 0."""
    return f"part-{number:05d}.parquet"


class DatasetFolder:
    """A dataset's folder, for one import. Raises StorageError by every method when storage fails."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def finished_card(self) -> dict[str, Any] | None:
        """The card of a finished import; None where there is none that its marker vouches for."""
        try:
            card, marker = self.store.read_bytes(CARD), self.store.read_bytes(COMMITTED)
        except FileNotFoundError:
            return None
        if marker.decode(errors="replace").strip() != hashlib.sha256(card).hexdigest():
            return None
        found = json.loads(card)
        return found if isinstance(found, dict) else None

    def refuse_other(self, card: dict[str, Any], import_id: str) -> None:
        """Refuses to import over a finished dataset that was made from something else.

        Raises:
            DataRefusedError: when the card's import is another one; it says what differs.
        """
        if card.get("import_id") != import_id:
            raise DataRefusedError(
                "the output holds a finished dataset that was imported from something else",
                expected=f"import {import_id[:12]}",
                received=f"import {str(card.get('import_id'))[:12]} of {card.get('created')}: another source, seed, "
                "setting or version of the source's files",
                place=Place(file=self.store.url, key="import.output"),
                remedy="choose another `import.output`, or delete the folder to import anew",
            )

    def claim(self, *, name: str, import_id: str, splits: Iterable[str]) -> None:
        """Clears what an interrupted import left, and writes `_mmdist.json` into the folders that get files.

        Raises:
            DataRefusedError: when a folder that would be written to holds files that no import wrote.
        """
        folders = (*SPLITS, QUARANTINE)
        for folder in folders:
            self._refuse_strangers(folder)
        owner = {"version": VERSION, "dataset": name, "import_id": import_id}
        for path in (COMMITTED, CARD):
            self.store.delete_file(path)
        for folder in folders:
            if self.store.exists(f"{folder}/{OWNER}"):
                self._clear(folder)
        for folder in (*splits, QUARANTINE):
            self.store.write_bytes(f"{folder}/{OWNER}", json.dumps(owner).encode())

    def check_owner(self, folder: str, import_id: str) -> None:
        """Refuses to go on where another import has taken the folder over meanwhile. Raises DataRefusedError."""
        try:
            owner = json.loads(self.store.read_bytes(f"{folder}/{OWNER}"))
        except (FileNotFoundError, ValueError):
            owner = {}
        if owner.get("import_id") != import_id:
            raise DataRefusedError(
                "another import wrote into the same output at the same time",
                place=Place(file=f"{self.store.url}/{folder}"),
                remedy="let one import end before the next begins, then run this one again",
            )

    def drop_if_empty(self, folder: str) -> None:
        """Takes a folder of this import away when no row fell into it."""
        if not any(PART.fullmatch(_name(entry.path)) for entry in self.store.list(folder)):
            self._clear(folder)
            self.store.delete_file(f"{folder}/{OWNER}")
            self.store.delete_empty_folder(folder)

    def finish(self, card: dict[str, Any]) -> None:
        """Writes the card, then the marker."""
        data = json.dumps(card, indent=1, ensure_ascii=False).encode()
        self.store.write_bytes(CARD, data)
        self.store.write_bytes(COMMITTED, hashlib.sha256(data).hexdigest().encode())

    def _refuse_strangers(self, folder: str) -> None:
        entries = self.store.list(folder)
        owned = any(_name(entry.path) == OWNER for entry in entries)
        strangers = [_name(entry.path) for entry in entries if not (owned and _is_ours(_name(entry.path)))]
        if strangers:
            raise DataRefusedError(
                "the output already holds files that no import wrote",
                expected="an empty or new folder",
                received=f"{len(strangers)} files, such as {folder}/{strangers[0]}",
                place=Place(file=self.store.url, key="import.output"),
                remedy="choose another `import.output`, or move the files away",
            )

    def _clear(self, folder: str) -> None:
        # The index first: without it no reader takes the folder for finished.
        self.store.delete_file(f"{folder}/{INDEX_FILE}")
        for entry in self.store.list(folder):
            if PART.fullmatch(_name(entry.path)):
                self.store.delete_file(entry.path)


def _is_ours(name: str) -> bool:
    return name in (OWNER, INDEX_FILE) or PART.fullmatch(name) is not None


def _name(path: str) -> str:
    return path.rpartition("/")[2]
