"""Puts a training together: model and optimizer, the newest checkpoint in them, and what the loop works with."""

from typing import Any

from mmdist.data.ledger import check_fingerprint
from mmdist.data.quarantine import BadRowBudget, QuarantineWriter, drop_torn
from mmdist.data.text_augmentation import TextAugmentation
from mmdist.errors import JobFileError, Place, UsageError
from mmdist.models.arrays import assign_arrays
from mmdist.models.build import build_model
from mmdist.models.tasks import Task, build_task
from mmdist.spec.dump import job_hash
from mmdist.spec.job import TrainJob
from mmdist.spec.metrics import resolved_rule
from mmdist.spec.optimizer import PlateauSpec
from mmdist.spec.resources import ResourcesSpec
from mmdist.storage import EventWriter, Store
from mmdist.training.averages import Averages
from mmdist.training.checkpoint import CheckpointWriter, Restored, restore_newest
from mmdist.training.clipping import Clipping
from mmdist.training.devices import Devices
from mmdist.training.divergence import Divergence
from mmdist.training.exchange import LedgerExchange
from mmdist.training.heartbeat import Heartbeat
from mmdist.training.metrics import MetricWriter
from mmdist.training.optimizer import build_optimizer
from mmdist.training.parts import LoopParts
from mmdist.training.policies import EarlyStopping, KeepBest, Plateau
from mmdist.training.precision import LossScale, built_in
from mmdist.training.prepare import Prepared
from mmdist.training.pretrained import load_pretrained
from mmdist.training.state import TrainingState
from mmdist.training.step import Steps
from mmdist.training.tuning import Tuning
from mmdist.training.undo import Undo

__all__ = ["close_parts", "make_budget", "open_session"]


def open_session(
    job: TrainJob,
    run: Store,
    events: EventWriter,
    data: Prepared,
    devices: Devices,
    heartbeat: Heartbeat,
    *,
    rank: int,
    workers: int,
    restart: int,
) -> tuple[LoopParts, TrainingState]:
    """Everything that the loop works with, at the state of the newest checkpoint that verifies.

    Raises:
        JobFileError: where batch and lanes cannot be shared out to the replicas.
        UsageError: where the checkpoint is of another job.
        DataRefusedError: where it is of other data, or pretrained weights cannot be used.
        StorageError: where there are checkpoints and none verifies.
        ResourceError: where pretrained weights cannot be fetched.
    """
    lanes = _own_lanes(job, devices, rank=rank, workers=workers)
    worker_places = job.train.global_batch_size // workers
    task = build_task(job.task, data.facts, regularization=job.model.regularization, seed=job.seed)
    with heartbeat.doing("fetch"):
        restored, known = restore_newest(run, events)
        if rank == 0:
            drop_torn(run, attempt=events.attempt, restart=restart)
    model, optimizer, tuning = _build(job, task, data, devices)
    if restored is None:
        with heartbeat.doing("fetch"):
            load_pretrained(model, job.model, events if rank == 0 else None)
    averages = Averages(devices.strategy, model.trainable_variables, job.train.averages)
    loss_scale = LossScale(devices.strategy, job.train.precision)
    changed = [*model.variables, *optimizer.variables, *averages.variables]
    variables = [*model.variables, *optimizer.variables, *loss_scale.variables, *averages.variables]
    identity = {
        "job": job_hash(job.model_copy(update={"resources": ResourcesSpec(), "storage": ""})),
        "train": data.train.fingerprint,
        "validation": data.validation.fingerprint,
        "vocabulary": data.vocabulary_sha256,
    }
    state = TrainingState()
    if restored is not None:
        _check_identity(restored, identity, data)
        assign_arrays(variables, restored.arrays, file=f"{run.url}/{restored.folder}")
        state = TrainingState.from_json(restored.state, is_chief=rank == 0)
        if rank == 0:
            events.write(
                "resumed",
                checkpoint=restored.folder,
                epoch=state.epoch + 1,
                next_batch=state.next_batch,
                step=state.step,
            )
    record = restored.state if restored is not None else {}
    stopping, schedule = job.train.early_stopping, job.train.optimizer.schedule
    plateau = schedule if isinstance(schedule, PlateauSpec) else None
    is_undone = job.train.on_divergence == "skip" or job.train.precision == "float16"
    undo = Undo(devices.strategy, changed) if is_undone else None
    parts = LoopParts(
        job=job,
        run=run,
        events=events,
        data=data,
        model=model,
        task=task,
        optimizer=optimizer,
        averages=averages,
        loss_scale=loss_scale,
        steps=Steps(
            model,
            task,
            optimizer,
            devices.strategy,
            augmentations=job.data.image.augment,
            text_augmentation=_text_augmentation(job, data),
            seed=job.seed,
            local_replicas=devices.local_replicas,
            worker=rank,
            lane_places=job.train.global_batch_size // (getattr(job.data.order, "lanes", None) or 1),
            accumulate=job.train.accumulate,
            clipping=Clipping(job.train.clip_norm, job.train.adaptive_clip),
            tuning=tuning,
            auxiliary=job.model.auxiliary,
            averages=averages,
            undo=undo,
            loss_scale=loss_scale,
            jit=_is_compiled(job, devices),
        ),
        divergence=Divergence(job.train, run, events if rank == 0 else None),
        heartbeat=heartbeat,
        exchanges={
            split: LedgerExchange(
                devices.strategy,
                columns=dataset.hashed_columns(data.collator.read_columns).names,
                local_replicas=devices.local_replicas,
                worker=rank,
                workers=workers,
            )
            for split, dataset in (("train", data.train), ("validation", data.validation))
        },
        budgets={
            "train": make_budget(job, run, events, "train", data.train.rows),
            "validation": make_budget(job, run, events, "validation", data.validation.rows),
        },
        lanes=lanes,
        validation_places=range(rank * worker_places, (rank + 1) * worker_places),
        restart=restart,
        identity=identity,
        metrics=MetricWriter(run, events.attempt, restart, tensorboard=job.train.tensorboard) if rank == 0 else None,
        checkpoints=CheckpointWriter(run, events, known, moved=heartbeat.moved) if rank == 0 else None,
        keep_best=KeepBest(resolved_rule(job.train.checkpoint.keep_best, job.task), record.get("best", ())),
        early_stopping=EarlyStopping(stopping and resolved_rule(stopping, job.task), record.get("early_stopping")),
        plateau=Plateau(plateau and resolved_rule(plateau, job.task), record.get("plateau")),
    )
    return parts, state


def _text_augmentation(job: TrainJob, data: Prepared) -> TextAugmentation | None:
    changes, tokenizer = job.data.text.augment, data.tokenizer
    if not changes or tokenizer is None:
        return None
    return TextAugmentation(changes, job.seed, tokenizer.starts_word, tokenizer.frames, tokenizer.masked)


def close_parts(parts: LoopParts) -> None:
    """Ends what runs beside the loop, and writes what is held back; a checkpoint on its way is finished."""
    if parts.checkpoints is not None:
        parts.checkpoints.close()
    if parts.metrics is not None:
        parts.metrics.flush()
    for budget in parts.budgets.values():
        budget.flush()


def make_budget(job: TrainJob, run: Store, events: EventWriter, split: str, rows: int) -> BadRowBudget:
    """The bad rows that a split may have; each split has its own files, for shards of splits have equal names."""
    quarantine = QuarantineWriter(run, events.attempt, f"{events.writer}-{split}")
    return BadRowBudget(job.data.max_bad_rows, rows, job.data.on_bad_row, quarantine=quarantine)


def _build(job: TrainJob, task: Task, data: Prepared, devices: Devices) -> tuple[Any, Any, Tuning]:
    with devices.strategy.scope(), built_in(job.train.precision):
        model = build_model(job.model, task, data.facts, seed=job.seed)
        optimizer = build_optimizer(job.train, model.trainable_variables, rows=data.train.rows)
    steps_per_epoch = -(-data.train.rows // job.train.global_batch_size)
    return model, optimizer, Tuning(model, job.model, steps_per_epoch=steps_per_epoch)


def _is_compiled(job: TrainJob, devices: Devices) -> bool:
    """Whether XLA compiles the step: `auto` does not, as it takes a quarter of the speed on CPU."""
    if job.train.xla is True and devices.replicas > 1:
        raise JobFileError(
            "XLA cannot compile a step that several replicas share",
            expected="one replica",
            received=f"{devices.replicas} replicas",
            place=Place(key="train.xla"),
            remedy="set `train.xla: false`",
        )
    return job.train.xla is True


def _own_lanes(job: TrainJob, devices: Devices, *, rank: int, workers: int) -> range | None:
    batch, parts = job.train.global_batch_size, devices.replicas * job.train.accumulate
    if batch % parts:
        lower = batch // parts * parts
        times = f" x {job.train.accumulate} of `train.accumulate`" if job.train.accumulate > 1 else ""
        raise JobFileError(
            f"global_batch_size must divide by {devices.replicas} replicas{times}",
            expected=f"a multiple of {parts}",
            received=str(batch),
            place=Place(key="train.global_batch_size"),
            remedy=f"try {' or '.join(str(size) for size in (lower, lower + parts) if size)}",
        )
    if workers == 1:
        return None
    lanes = getattr(job.data.order, "lanes", None) or 1
    if lanes % workers:
        raise JobFileError(
            f"the lanes must be shared out evenly to {workers} workers",
            expected=f"a multiple of {workers}",
            received=str(lanes),
            place=Place(key="data.order.lanes"),
        )
    return range(rank * lanes // workers, (rank + 1) * lanes // workers)


def _check_identity(restored: Restored, identity: dict[str, str], data: Prepared) -> None:
    kept = restored.state["identity"]
    if kept["job"] != identity["job"]:
        raise UsageError(
            "the checkpoint is of another job",
            expected=f"job {identity['job'][:16]}...",
            received=f"job {kept['job'][:16]}... in {restored.folder}",
            remedy="submit the changed job as a new run",
        )
    for name, dataset in (("train", data.train), ("validation", data.validation)):
        check_fingerprint(dataset.store.url, expected=kept[name], received=identity[name])
    if kept["vocabulary"] != identity["vocabulary"]:
        raise UsageError(
            "the labels or the tokenizer are not those that the checkpoint was trained with",
            expected=f"SHA-256 {kept['vocabulary'][:16]}...",
            received=f"SHA-256 {identity['vocabulary'][:16]}...",
            remedy="bring the run's folder `vocabulary` back, or start a new run",
        )
