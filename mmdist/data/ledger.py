"""The content ledger: proves at an epoch's end that every row was fed once or quarantined, and as it was imported."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmdist.data.batches import LedgerDelta
from mmdist.data.content import weighted_sums
from mmdist.data.index import RowGroupIndex
from mmdist.errors import DataRefusedError, MmdistError, Place

__all__ = ["EpochLedger", "check_fingerprint", "expected_sums"]

VERSION = 1
_MODULUS = 1 << 64
_REMEDY = (
    "compare the shards with their source (a shard replaced, altered or restored from an old copy?), "
    "or import the dataset again and start a new run"
)


class EpochLedger:
    """Adds up what an epoch has fed and quarantined; the same whatever the workers, the order and the restarts."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.fed_rows = 0
        self.fed_sums: dict[str, int] = {}
        self.quarantined_rows = 0
        self.quarantined_sums: dict[str, int] = {}

    def add(self, delta: LedgerDelta) -> None:
        """Adds a batch, or the sum of batches that another worker has fed."""
        self.fed_rows += delta.fed_rows
        self.quarantined_rows += delta.quarantined_rows
        _add_sums(self.fed_sums, delta.fed_sums)
        _add_sums(self.quarantined_sums, delta.quarantined_sums)

    @property
    def total(self) -> LedgerDelta:
        """What was added so far, for another ledger to add."""
        return LedgerDelta(self.fed_rows, dict(self.fed_sums), self.quarantined_rows, dict(self.quarantined_sums))

    @property
    def rows(self) -> int:
        """Rows fed and quarantined."""
        return self.fed_rows + self.quarantined_rows

    @property
    def sums(self) -> dict[str, int]:
        """Sums by column over the rows fed and quarantined."""
        sums = dict(self.fed_sums)
        _add_sums(sums, self.quarantined_sums)
        return sums

    def state(self) -> dict[str, Any]:
        """All of it, for a checkpoint or a JSON file; sums are hex strings, since JSON readers round large numbers."""
        return {
            "version": VERSION,
            "epoch": self.epoch,
            "fed_rows": self.fed_rows,
            "fed_sums": {name: f"{value:016x}" for name, value in sorted(self.fed_sums.items())},
            "quarantined_rows": self.quarantined_rows,
            "quarantined_sums": {name: f"{value:016x}" for name, value in sorted(self.quarantined_sums.items())},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "EpochLedger":
        """The ledger that `state` was taken of."""
        if state.get("version") != VERSION:
            raise DataRefusedError(
                "the ledger's state is of another version of mmdist",
                expected=f"version {VERSION}",
                received=f"version {state.get('version')}",
            )
        ledger = cls(int(state["epoch"]))
        ledger.fed_rows = int(state["fed_rows"])
        ledger.quarantined_rows = int(state["quarantined_rows"])
        ledger.fed_sums = {name: int(value, 16) for name, value in state["fed_sums"].items()}
        ledger.quarantined_sums = {name: int(value, 16) for name, value in state["quarantined_sums"].items()}
        return ledger

    def check(self, index: RowGroupIndex, *, recorded: Mapping[str, int] | None = None, where: str = "") -> None:
        """Checks a finished epoch.

        Args:
            index: The dataset's index: its row count, and its content sums where importing has made them.
            recorded: For a dataset without content sums: `sums` of an epoch before. None in the first epoch, whose
                rows alone are counted; the caller keeps its `sums` for the next one.
            where: The dataset's URL, for the message.

        Raises:
            DataRefusedError: saying how many rows are missing or too many, and which columns' content differs.
            MmdistError: when the rows were not hashed at all.
        """
        self._check_rows(index.total_rows, where)
        expected = dict(recorded or {})
        if index.has_sums:
            expected = expected_sums(index)
        sums = self.sums
        if "id" in expected and "id" not in sums:
            # Without this, rows that nobody hashed would pass by their count alone.
            raise MmdistError("the epoch's rows were counted but not hashed", expected="a sum of column id")
        differing = [name for name, value in sorted(expected.items()) if name in sums and sums[name] != value]
        if not differing:
            return
        source = "its import" if index.has_sums else "the first epoch"
        raise DataRefusedError(
            f"the rows of epoch {self.epoch} are not those of {source}: {_explain(differing, 'id' in sums)}",
            expected=_named(expected, differing),
            received=_named(sums, differing),
            place=Place(file=where or None),
            remedy=_REMEDY,
        )

    def to_json(self, index: RowGroupIndex) -> dict[str, Any]:
        """What RUN/ledger/epoch-N.json holds: the state, and the rows and sums that were expected (null: unknown)."""
        expected = {name: f"{value:016x}" for name, value in expected_sums(index).items()} if index.has_sums else None
        return {**self.state(), "expected_rows": index.total_rows, "expected_sums": expected}

    def _check_rows(self, expected: int, where: str) -> None:
        if self.rows == expected:
            return
        difference = self.rows - expected
        what = f"{difference} row(s) too many" if difference > 0 else f"{-difference} row(s) missing"
        raise DataRefusedError(
            f"epoch {self.epoch} did not feed every row once: {what}",
            expected=f"{expected} rows",
            received=f"{self.fed_rows} fed + {self.quarantined_rows} quarantined = {self.rows}",
            place=Place(file=where or None),
            remedy=_REMEDY,
        )


def expected_sums(index: RowGroupIndex) -> dict[str, int]:
    """Per column, what the ledger's sums of a whole epoch must be; empty where the index has no sums."""
    return weighted_sums(index.content_sums, np.arange(len(index), dtype=np.int64))


def check_fingerprint(where: str, *, expected: str, received: str) -> None:
    """Refuses to go on with a dataset that is not the one a run began with.

    Raises:
        DataRefusedError: when the fingerprints differ.
    """
    if expected != received:
        raise DataRefusedError(
            "the dataset is not the one that this run began with: shards were added, removed, changed or swapped",
            expected=f"fingerprint {expected[:16]}...",
            received=f"fingerprint {received[:16]}...",
            place=Place(file=where),
            remedy="bring the former shards back, or start a new run on these",
        )


def _explain(differing: list[str], has_id: bool) -> str:
    if "id" in differing:
        return "a row was fed twice in place of another, an id was altered, or row groups or shards were swapped"
    names = ", ".join(differing)
    what = "every id is there once, but " if has_id else ""
    return f"{what}the content of column {names} was altered or swapped between rows"


def _named(sums: Mapping[str, int], names: list[str]) -> str:
    return ", ".join(f"sum of {name} {sums[name]:016x}" for name in names)


def _add_sums(sums: dict[str, int], more: Mapping[str, int]) -> None:
    for name, value in more.items():
        sums[name] = (sums.get(name, 0) + value) % _MODULUS
