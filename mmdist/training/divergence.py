"""What happens when the loss or its gradient is no number: the run ends, leaves the batch out, or goes back before it.

Every worker decides alike, for the step tells all of them the same sums. What was left out is read from the run's
events, so that a resumed run leaves out the same.
"""

from mmdist.data.batches import Batch
from mmdist.errors import TrainingFailedError
from mmdist.spec.train import TrainSpec
from mmdist.storage import EventWriter, Store, read_events
from mmdist.training.step_sums import StepSums

__all__ = ["Divergence", "RollBackError", "refuse"]

SHOWN_IDS = 10
DIVERGED = "diverged"
OVERFLOWED = "overflowed"


class RollBackError(Exception):
    """Training goes back to the newest checkpoint, with new workers."""


class Divergence:
    """Decides what follows a step that diverged.

    Args:
        spec: `on_divergence` and `max_divergences`.
        run: The run, whose events name the batches that are left out.
        events: Gets `diverged`. None on workers other than the chief.
    """

    def __init__(self, spec: TrainSpec, run: Store, events: EventWriter | None) -> None:
        self._spec = spec
        self._events = events
        self._left_out = {
            (int(event.facts["epoch"]) - 1, int(event.facts["batch"]) - 1)
            for event in (read_events(run) if spec.on_divergence != "stop" else ())
            if event.kind == DIVERGED
        }

    def leaves_out(self, epoch: int, batch: int) -> bool:
        """Whether a batch is not trained on; epoch and batch from 0."""
        return self._spec.on_divergence == "rollback" and (epoch, batch) in self._left_out

    def meet(self, sums: StepSums, batch: Batch, *, step: int, epoch: int) -> None:
        """Takes a step that diverged. Returns where it was undone and training goes on.

        Raises:
            TrainingFailedError: where the job says so, or bears no more of them.
            RollBackError: where training is to go back.
        """
        what = f"step {step}, epoch {epoch + 1}, batch {batch.index + 1}"
        place = (epoch, batch.index)
        if self._spec.on_divergence == "stop":
            raise _failure(sums, batch, what)
        if len(self._left_out | {place}) > self._spec.max_divergences:
            raise _failure(sums, batch, f"{what}; {len(self._left_out)} batches before")
        if self._events is not None:
            self._events.write(
                DIVERGED,
                step=step,
                epoch=epoch + 1,
                batch=batch.index + 1,
                rows=_ids(batch),
                where=sums.where_broken,
                then=self._spec.on_divergence,
            )
        self._left_out.add(place)
        if self._spec.on_divergence == "rollback":
            raise RollBackError(what)

    def tell_overflow(self, batch: Batch, *, step: int, epoch: int) -> None:
        """Tells of a step that overflowed in float16, and was undone. It is no divergence and counts as none."""
        if self._events is not None:
            self._events.write(OVERFLOWED, step=step, epoch=epoch + 1, batch=batch.index + 1)


def refuse(sums: StepSums, batch: Batch, what: str) -> None:
    """Raises TrainingFailedError where a validation loss is no number."""
    if sums.broken:
        raise _failure(sums, batch, what)


def _failure(sums: StepSums, batch: Batch, what: str) -> TrainingFailedError:
    loss = sums.loss_sum / max(sums.rows, 1.0)
    ids = _ids(batch)
    more = f" and {len(ids) - SHOWN_IDS} more" if len(ids) > SHOWN_IDS else ""
    return TrainingFailedError(
        f"the loss or its gradient is not a number ({what})",
        expected="finite numbers",
        received=f"a loss of {loss} over the rows {', '.join(ids[:SHOWN_IDS])}{more}; not finite: {sums.where_broken}",
        remedy="lower `train.optimizer.learning_rate`, look at these rows, or set `train.on_divergence` to `skip` or "
        "`rollback`; the checkpoint before is intact",
    )


def _ids(batch: Batch) -> list[str]:
    return [str(name) for name, mask in zip(batch.ids, batch.mask, strict=True) if mask]
