"""Where a training is: everything but the arrays, as JSON, and free of the number of workers and replicas."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmdist.data.ledger import EpochLedger
from mmdist.training.totals import Totals

__all__ = ["TrainingState"]

CURSOR_VERSION = 1


@dataclass
class TrainingState:
    """The state between two steps. The cursor points at the first batch that was not trained on."""

    step: int = 0
    """Steps done."""
    epoch: int = 0
    """From 0; the number of epochs once all are done."""
    next_batch: int = 0
    totals: Totals = field(default_factory=Totals)
    """Of this epoch so far."""
    set_aside: int = 0
    """Rows of this epoch so far that were quarantined, over all workers."""
    ledger: EpochLedger = field(default_factory=lambda: EpochLedger(0))
    """Of this epoch so far, over all workers when it is saved."""
    recorded_sums: dict[str, int] | None = None
    """Content sums of the first epoch, where the dataset was imported without."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """Metrics of each finished epoch."""

    def next_epoch(self) -> None:
        """Moves to the start of the next epoch."""
        self.epoch += 1
        self.next_batch = 0
        self.totals = Totals()
        self.set_aside = 0
        self.ledger = EpochLedger(self.epoch)

    def to_json(self, ledger: EpochLedger) -> dict[str, Any]:
        """For a checkpoint, with the ledger over all workers."""
        sums = self.recorded_sums
        return {
            "step": self.step,
            "cursor": {"version": CURSOR_VERSION, "epoch": self.epoch, "next_batch": self.next_batch},
            "totals": self.totals.to_json(),
            "ledger": ledger.state(),
            "recorded_sums": None if sums is None else {name: f"{value:016x}" for name, value in sums.items()},
            "history": self.history,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any], *, is_chief: bool) -> "TrainingState":
        """Of a checkpoint. The chief takes over the ledger; other workers begin theirs at zero."""
        cursor, sums = record["cursor"], record["recorded_sums"]
        epoch = int(cursor["epoch"])
        return cls(
            step=int(record["step"]),
            epoch=epoch,
            next_batch=int(cursor["next_batch"]),
            totals=Totals.from_json(record["totals"]),
            set_aside=int(record["ledger"]["quarantined_rows"]),
            ledger=EpochLedger.from_state(record["ledger"]) if is_chief else EpochLedger(epoch),
            recorded_sums=None if sums is None else {name: int(value, 16) for name, value in sums.items()},
            history=list(record["history"]),
        )
