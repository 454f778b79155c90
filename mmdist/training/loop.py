"""The train loop: load, step, save, validate. What it is made of lies in the files beside it."""

import json
import logging
from typing import Any

from mmdist.data.batches import Batch
from mmdist.data.order import EpochPlan, plan_epoch
from mmdist.data.stream import BatchStream
from mmdist.errors import StopRequestedError
from mmdist.spec.optimizer import PlateauSpec
from mmdist.training.checkpoint import checkpoint_name
from mmdist.training.divergence import refuse
from mmdist.training.epoch_events import EpochEvents
from mmdist.training.input_advice import InputFacts
from mmdist.training.pace import InputTime, Pace, timed
from mmdist.training.parts import LoopParts
from mmdist.training.policies import EverySteps, KeepLast
from mmdist.training.state import TrainingState
from mmdist.training.step_sums import StepSums
from mmdist.training.validation import validate

__all__ = ["Loop"]

NOTE_EVERY_S = 1.0

_log = logging.getLogger(__name__)


class Loop:
    """Trains from a state to the end, or until it is asked to stop.

    Args:
        parts: What it works with.
        state: Where it begins; it goes on with it.
    """

    def __init__(self, parts: LoopParts, state: TrainingState) -> None:
        self.parts = parts
        self.state = state
        self._every = EverySteps(parts.job.train.checkpoint)
        self._keep_last = KeepLast(parts.job.train.checkpoint.keep_last)
        self._pending: tuple[Batch, Any, InputTime] | None = None
        self._pace = Pace()
        self._epoch_pace = Pace()
        self._epoch_events = EpochEvents(parts.events, InputFacts.of(parts.job, parts.data))
        self._saved: tuple[int, int] | None = None
        self._is_stopping = False
        self._is_regrouping = False

    @property
    def is_over(self) -> bool:
        """Whether every epoch is done, or early stopping ended training."""
        return self.state.epoch >= self.parts.job.train.epochs or self.parts.early_stopping.is_over

    def run(self) -> None:
        """Trains to the end, or to the checkpoint at which a larger group is to take over: then `is_over` is False.

        Raises:
            StopRequestedError: after a checkpoint, when somebody asked to stop.
            TrainingFailedError: when the loss is not a number.
            DataRefusedError: when the data cannot be used, or an epoch did not feed every row once.
            StorageError: when a checkpoint cannot be written.
        """
        while not self.is_over:
            plan = self._plan()
            self._epoch_pace = Pace()
            if self.state.next_batch < plan.batches:
                with self._open(plan) as stream:
                    for batch, waited in timed(stream):  # load
                        self._step(batch, plan, waited)  # step
                        if self.state.next_batch == plan.batches:
                            break  # the end of an epoch is saved once it is validated
                        if self._every.is_due(self.state.step):  # save
                            self._save()
                            if self._is_regrouping:
                                break
                        self._obey_stop()
            if self._is_regrouping and self.state.next_batch < plan.batches:
                break
            self._settle(plan)
            self._epoch_pace.end()
            validated = validate(self.parts, self.state.epoch, self._after_validating)  # validate
            metrics = {**self.state.totals.means("train", self.parts.task.metrics), **validated}
            self._finish_epoch(metrics)
            self._obey_stop()
            if self._is_regrouping:
                break
        self._wait_saved()

    def _plan(self) -> EpochPlan:
        job, dataset = self.parts.job, self.parts.data.train
        plan = plan_epoch(
            dataset.index.rows,
            fingerprint=dataset.fingerprint,
            seed=job.seed,
            epoch=self.state.epoch,
            global_batch_size=job.train.global_batch_size,
            order=job.data.order,
        )
        self.parts.heartbeat.begin(
            "train", epoch=self.state.epoch + 1, epochs=job.train.epochs, batches=plan.batches, step=self.state.step
        )
        return plan

    def _open(self, plan: EpochPlan) -> BatchStream:
        data = self.parts.data
        return BatchStream(data.train, plan, data.collator, lanes=self.parts.lanes, start_batch=self.state.next_batch)

    def _step(self, batch: Batch, plan: EpochPlan, waited: InputTime) -> None:
        self.parts.budgets["train"].add(batch.bad)
        if self.parts.divergence.leaves_out(self.state.epoch, batch.index):
            self._settle(plan)
            self._count(batch)
            return
        with self.parts.heartbeat.doing("collective"):
            beat = self.parts.heartbeat
            result = self.parts.steps.train(
                batch, epoch=self.state.epoch, stop=beat.stop_requested, regroup=beat.regroup_requested
            )
        handover_s = self.parts.steps.handover_s
        # The result of the step before is looked at while this one may still be running on a GPU.
        self._settle(plan)
        self._pending = batch, result, waited._replace(handover_s=handover_s)
        self._count(batch)

    def _count(self, batch: Batch) -> None:
        self.state.ledger.add(batch.ledger)
        self.state.step += 1
        self.state.next_batch += 1
        if self.parts.checkpoints is not None:
            self.parts.checkpoints.poll()

    def _settle(self, plan: EpochPlan | None = None) -> None:
        """Waits for the step on its way, and counts it."""
        if self._pending is None:
            return
        batch, result, spent = self._pending
        self._pending = None
        with self.parts.heartbeat.doing("collective"):
            sums = self.parts.steps.sums(result)
        if sums.overflowed:
            self.parts.divergence.tell_overflow(batch, step=self.state.step, epoch=self.state.epoch)
            sums = sums._replace(rows=0.0)
        elif sums.broken:
            self.parts.divergence.meet(sums, batch, step=self.state.step, epoch=self.state.epoch)
            sums = sums._replace(rows=0.0)
        else:
            self.state.totals.add(sums)
        self.state.set_aside += int(sums.set_aside)
        self.parts.budgets["train"].bear(self.state.set_aside)
        self._is_stopping = self._is_stopping or sums.stop_votes > 0
        self._is_regrouping = self._is_regrouping or sums.regroup_votes > 0
        for pace in (self._pace, self._epoch_pace):
            pace.add(rows=int(sums.rows), spent=spent)
        if self._pace.seconds > NOTE_EVERY_S and plan is not None:
            self._tell(plan, sums)

    def _tell(self, plan: EpochPlan, sums: StepSums) -> None:
        values = {**self._pace.values(), "loss": sums.loss_sum / max(sums.rows, 1.0)}
        left = (self.parts.job.train.epochs - self.state.epoch) * plan.batches - self.state.next_batch
        self.parts.heartbeat.note(
            batch=self.state.next_batch, step=self.state.step, eta_s=left * values["step_s"], **values
        )
        if self.parts.metrics is not None:
            named = {"step/loss" if name == "loss" else name: value for name, value in values.items()}
            self.parts.metrics.add(named, step=self.state.step, epoch=self.state.epoch)
        self._pace = Pace()

    def _after_validating(self, sums: StepSums, batch: Batch) -> None:
        """Stops in between when asked, before the epoch is finished."""
        refuse(sums, batch, f"validation after step {self.state.step}, epoch {self.state.epoch + 1}")
        self._is_stopping = self._is_stopping or sums.stop_votes > 0
        self._obey_stop()

    def _finish_epoch(self, metrics: dict[str, float]) -> None:
        parts, state = self.parts, self.state
        with parts.heartbeat.doing("collective"):
            ledger = parts.exchanges["train"].total(state.ledger)
        index = parts.data.train.index
        ledger.check(index, recorded=state.recorded_sums, where=parts.data.train.store.url)
        if not index.has_sums and state.recorded_sums is None:
            state.recorded_sums = ledger.sums
        epoch = state.epoch
        state.history.append({"epoch": epoch, "step": state.step, **metrics})
        if parts.metrics is not None:
            parts.run.write_bytes(f"ledger/epoch-{epoch}.json", json.dumps(ledger.to_json(index), indent=1).encode())
            parts.metrics.add({**metrics, **self._epoch_pace.values()}, step=state.step, epoch=epoch)
            parts.metrics.flush()
        parts.early_stopping.add(metrics)
        self._lower_rate(metrics)
        parts.keep_best.offer(self._folder(), step=state.step, epoch=epoch, metrics=metrics)
        state.next_epoch()
        # Before the checkpoint: a worker that is killed between the two trains the epoch again and tells of it again.
        if parts.metrics is not None:
            facts = {"rows": ledger.rows, "quarantined": ledger.quarantined_rows}
            self._epoch_events.write(
                self._epoch_pace,
                epoch=epoch + 1,
                epochs=parts.job.train.epochs,
                step=state.step,
                metrics=metrics,
                ledger=facts,
            )
            if parts.early_stopping.is_over and state.epoch < parts.job.train.epochs:
                parts.events.write("stopped-early", epoch=epoch + 1, **parts.early_stopping.state())
        self._save()
        _log.info("epoch %d of %d: %s", epoch + 1, parts.job.train.epochs, metrics)

    def _lower_rate(self, metrics: dict[str, float]) -> None:
        """Follows a plateau schedule. Every worker has the same metrics, and so does the same."""
        if not isinstance(self.parts.job.train.optimizer.schedule, PlateauSpec):
            return
        self.parts.plateau.add(metrics)
        variable = self.parts.optimizer.learning_rate
        before = float(variable.numpy())
        rate = self.parts.plateau.lowered(before)
        if rate < before:
            variable.assign(rate)
            if self.parts.metrics is not None:
                self.parts.events.write("rate-lowered", epoch=self.state.epoch + 1, learning_rate=rate)

    def _folder(self) -> str:
        return checkpoint_name(self.state.step, self.parts.events.attempt, self.parts.restart)

    def _save(self) -> None:
        """Starts a checkpoint of this moment, unless there is one."""
        self._settle()
        parts, state = self.parts, self.state
        cursor = (state.epoch, state.next_batch)
        with parts.heartbeat.doing("collective"):
            ledger = parts.exchanges["train"].total(state.ledger)
        if parts.checkpoints is None or self._saved == cursor:
            return
        record = {
            **state.to_json(ledger),
            "best": parts.keep_best.entries,
            "early_stopping": parts.early_stopping.state(),
            "plateau": parts.plateau.state(),
            "identity": parts.identity,
        }
        for budget in parts.budgets.values():
            budget.flush()
        if parts.metrics is not None:
            parts.metrics.flush()  # what a kill may tear are curves of steps that will be trained again
        best = parts.keep_best.chosen()
        with parts.heartbeat.doing("checkpoint"):  # the one before may still be on its way to a slow disk
            parts.checkpoints.save(
                self._folder(),
                parts.variables,
                record,
                lambda folders: self._keep_last.chosen(folders) | best,
            )
        self._saved = cursor

    def _wait_saved(self) -> None:
        if self.parts.checkpoints is not None:
            with self.parts.heartbeat.doing("checkpoint"):
                self.parts.checkpoints.wait()

    def _obey_stop(self) -> None:
        """Ends with a checkpoint, if this or another worker was asked to."""
        if not self._is_stopping:
            return
        self.parts.averages.put_back()  # the stop may come while they are being validated
        self._save()
        self._wait_saved()
        raise StopRequestedError(
            f"stopped as asked, in epoch {self.state.epoch + 1} before batch {self.state.next_batch + 1}",
            remedy="go on with `mmdist submit --resume RUN`",
        )
