"""Loss and metrics over the validation split, of whose batches every worker reads its own places alone."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from mmdist.data.batches import Batch
from mmdist.data.ledger import EpochLedger
from mmdist.data.stream import BatchStream, StoragePlan
from mmdist.errors import DataRefusedError, Place
from mmdist.training.step_sums import StepSums
from mmdist.training.totals import Totals

if TYPE_CHECKING:
    from mmdist.training.parts import LoopParts

__all__ = ["validate"]


def validate(parts: "LoopParts", epoch: int, on_batch: Callable[[StepSums, Batch], None]) -> dict[str, float]:
    """Validates the model as it is. All workers must call it at the same step.

    Args:
        parts: What the loop works with.
        epoch: From 0.
        on_batch: Called with the sums over all workers of each batch, and this worker's part of it; it may raise.

    Raises:
        DataRefusedError: when no row can be used, too many cannot, or the split is not the one that was imported.
    """
    dataset, budget = parts.data.validation, parts.budgets["validation"]
    parts.heartbeat.begin("validate", epoch=epoch + 1, epochs=parts.job.train.epochs)
    totals, set_aside = Totals(), 0.0
    ledger = EpochLedger(epoch)
    plan = StoragePlan(dataset.index.rows, parts.job.train.global_batch_size)
    with (
        parts.averages.in_use(),
        BatchStream(dataset, plan, parts.data.collator, lanes=parts.validation_places) as batches,
    ):
        for batch in batches:
            budget.add(batch.bad)
            ledger.add(batch.ledger)
            with parts.heartbeat.doing("collective"):
                sums = parts.steps.sums(parts.steps.validate(batch, stop=parts.heartbeat.stop_requested))
            on_batch(sums, batch)
            totals.add(sums)
            set_aside += sums.set_aside
            budget.bear(int(set_aside))
            parts.heartbeat.note(rows=int(totals.rows), total_rows=dataset.rows)
    with parts.heartbeat.doing("collective"):
        ledger = parts.exchanges["validation"].total(ledger)
    ledger.check(dataset.index, where=dataset.store.url)
    if totals.rows == 0:
        raise DataRefusedError(
            "no row of the validation data can be used",
            place=Place(file=dataset.store.url, key="data.validation"),
            remedy="look at the reasons in the run's quarantine folder",
        )
    return totals.means("val", parts.task.metrics)
