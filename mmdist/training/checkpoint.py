"""Checkpoints: the whole training state in a committed folder, written beside training, restored if it verifies.

A folder `checkpoints/STEP-ATTEMPT.RESTART` holds `state.safetensors` (every variable of model and optimizer by index,
seed generators included) and `state.json` (everything else, and shape and dtype of every array).
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from mmdist.errors import DataRefusedError, Place, StorageError
from mmdist.models.arrays import describe, unpack_arrays
from mmdist.storage import (
    CommitError,
    EventWriter,
    Store,
    commit_folder,
    is_committed,
    read_committed,
    read_events,
)
from mmdist.storage.commit import COMMITTED, MANIFEST
from mmdist.training.snapshot import Portions, arrays_file, take_snapshot

__all__ = [
    "CheckpointWriter",
    "Restored",
    "checkpoint_name",
    "committed_checkpoints",
    "newest_step",
    "read_checkpoint",
    "restore_newest",
]

FOLDER = "checkpoints"
SAVED = "checkpoint-saved"
ARRAYS = "state.safetensors"
STATE = "state.json"
VERSION = 1
_NAME = re.compile(r"(\d{8,})-(\d{4,})\.(\d+)")

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Restored:
    """A checkpoint that verified."""

    folder: str
    state: dict[str, Any]
    arrays: list[Array]


def checkpoint_name(step: int, attempt: int, restart: int) -> str:
    """Path of the folder that one attempt writes at a step."""
    return f"{FOLDER}/{step:08d}-{attempt:04d}.{restart}"


class CheckpointWriter:
    """Takes a snapshot of the state, then writes, verifies and prunes in a thread of its own.

    At most one checkpoint is on its way. What goes wrong there is raised by the next call. With the first checkpoint
    go the leftovers of attempts that ended while they wrote or deleted one.

    Args:
        run: The run.
        events: Gets `checkpoint-saved`.
        known: Folders that are there and count, from oldest to newest.
        moved: Called, in the writing thread, whenever storage has taken a portion, or given one back.
    """

    def __init__(
        self, run: Store, events: EventWriter, known: Sequence[str], *, moved: Callable[[], None] = lambda: None
    ) -> None:
        self._run = run
        self._events = events
        self._known = list(known)
        self._moved = moved
        self._is_tidy = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="mmdist-checkpoint")
        self._writing: Future[None] | None = None

    def save(
        self,
        folder: str,
        variables: Iterable[Any],
        state: dict[str, Any],
        keep: Callable[[Sequence[str]], set[str]],
    ) -> None:
        """Starts a checkpoint.

        Args:
            folder: From `checkpoint_name`.
            variables: Their values of now are saved; training may go on once this returns.
            state: JSON-able.
            keep: Given all folders from oldest to newest, those to keep. The others are deleted once this
                checkpoint is committed and was read back.
        """
        self.wait()
        arrays = take_snapshot(variables)
        text = json.dumps({**state, "version": VERSION, "arrays": describe(arrays)}, indent=1).encode()
        kept = keep([*self._known, folder])
        self._writing = self._pool.submit(self._write, folder, arrays, text, kept, int(state["step"]))

    def wait(self) -> None:
        """Waits for the checkpoint on its way. Raises what went wrong with it: StorageError, most likely."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def poll(self) -> None:
        """Raises what went wrong, if anything did; does not wait."""
        if self._writing is not None and self._writing.done():
            self.wait()

    def close(self) -> None:
        """Ends the thread; what it is writing is finished first, and errors are dropped."""
        self._pool.shutdown(wait=True)

    def _write(self, folder: str, arrays: list[Array], text: bytes, kept: set[str], step: int) -> None:
        try:
            files = Portions(arrays_file(arrays), self._moved)
            commit_folder(self._run, folder, {ARRAYS: files, STATE: text}, moved=self._moved)
        except (StorageError, FileNotFoundError) as error:
            with suppress(StorageError, FileNotFoundError):
                if not is_committed(self._run, folder):
                    # A full disk gets back what this has taken.
                    _delete_checkpoint(self._run, folder)
            if isinstance(error, StorageError):
                raise
            raise StorageError(
                "a checkpoint was taken away while it was written",
                received=str(error),
                place=Place(file=f"{self._run.url}/{folder}"),
                remedy="leave the folders of a run alone while it runs",
            ) from error
        self._known.append(folder)
        self._events.write(SAVED, path=folder, step=step)
        for other in [name for name in self._known if name not in kept]:
            _delete_checkpoint(self._run, other)
            self._known.remove(other)
        if not self._is_tidy:
            self._tidy_up()

    def _tidy_up(self) -> None:
        """Deletes what earlier attempts of this run left half written or half deleted."""
        for (_, attempt, _), folder in _folders(self._run):
            if attempt <= self._events.attempt and folder not in self._known and not is_committed(self._run, folder):
                _delete_checkpoint(self._run, folder)
        self._is_tidy = True


def committed_checkpoints(run: Store) -> list[str]:
    """Committed checkpoint folders, from oldest to newest."""
    return [folder for _, folder in _folders(run) if is_committed(run, folder)]


def newest_step(run: Store) -> int:
    """The step of the newest committed checkpoint; 0 where there is none."""
    return max((step for (step, _, _), folder in _folders(run) if is_committed(run, folder)), default=0)


def read_checkpoint(run: Store, folder: str) -> Restored:
    """A checkpoint, every byte verified.

    Raises:
        CommitError: where it is not whole.
        DataRefusedError: where its parts do not agree, or another version of mmdist wrote it.
    """
    payload = read_committed(run, folder)
    place = Place(file=f"{run.url}/{folder}")
    if set(payload) != {ARRAYS, STATE}:
        raise DataRefusedError(
            "the folder is not a checkpoint", expected=f"{ARRAYS} and {STATE}", received=", ".join(payload), place=place
        )
    state = json.loads(payload[STATE])
    if state.get("version") != VERSION:
        raise DataRefusedError(
            "the checkpoint was written by another version of mmdist",
            expected=f"version {VERSION}",
            received=f"version {state.get('version')}",
            place=place,
            remedy="resume with the mmdist that wrote it",
        )
    arrays = unpack_arrays(payload[ARRAYS], file=f"{run.url}/{folder}/{ARRAYS}")
    if describe(arrays) != state["arrays"]:
        raise DataRefusedError("the arrays of the checkpoint are not those that it lists", place=place)
    return Restored(folder, state, arrays)


def restore_newest(run: Store, events: EventWriter) -> tuple[Restored | None, list[str]]:
    """The newest checkpoint that verifies, and the folders up to it from oldest to newest; None where there is none.

    One that does not verify is left where it is and told by an event, `checkpoint-refused`.

    Raises:
        StorageError: where checkpoints were saved and none verifies.
    """
    folders = committed_checkpoints(run)
    for number, folder in reversed(list(enumerate(folders))):
        try:
            restored = read_checkpoint(run, folder)
        except (CommitError, DataRefusedError) as error:
            events.write("checkpoint-refused", path=folder, reason=str(error))
            continue
        # Its writer may have been killed before it was on disk, and what is pruned from now on relies on it.
        run.sync_folder(folder)
        return restored, folders[: number + 1]
    saved = [event for event in read_events(run) if event.kind == SAVED]
    if folders or saved:
        raise StorageError(
            "no checkpoint of this run verifies",
            received=f"{len(folders)} folders with bytes that are missing or changed; {len(saved)} were saved",
            place=Place(file=f"{run.url}/{FOLDER}"),
            remedy="bring the checkpoints back, or start a new run",
        )
    return None, []


def _folders(run: Store) -> list[tuple[tuple[int, int, int], str]]:
    """Folders that are named as checkpoints, with step, attempt and restart, from oldest to newest."""
    found = []
    for entry in run.list(FOLDER):
        match = _NAME.fullmatch(entry.path.removeprefix(f"{FOLDER}/"))
        if entry.is_folder and match:
            step, attempt, restart = (int(part) for part in match.groups())
            found.append(((step, attempt, restart), entry.path))
    return sorted(found)


def _delete_checkpoint(run: Store, folder: str) -> None:
    # The marker goes first: a reader that comes in between finds no checkpoint rather than half of one.
    for name in (COMMITTED, MANIFEST, STATE, ARRAYS):
        run.delete_file(f"{folder}/{name}")
    run.delete_empty_folder(folder)
