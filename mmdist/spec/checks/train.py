"""Keys of `train` that do not go together."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.augment import CropSpec, RandAugmentSpec
from mmdist.spec.job import TrainJob
from mmdist.spec.metrics import known_metrics
from mmdist.spec.optimizer import CosineSpec, PlateauSpec
from mmdist.spec.resolve import known_replicas
from mmdist.spec.suggest import did_you_mean, one_of
from mmdist.spec.train import EarlyStoppingSpec, KeepBestSpec
from mmdist.spec.yaml_source import Document

__all__ = ["check_modes", "check_warmup", "check_xla"]


def check_modes(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """A metric is one that the task counts, and best at its own end: losses are when small, accuracies when large."""
    known = known_metrics(job.task)
    stopping = job.train.early_stopping
    rules: list[tuple[tuple[str, ...], KeepBestSpec | EarlyStoppingSpec | PlateauSpec]]
    rules = [(("train", "checkpoint", "keep_best"), job.train.checkpoint.keep_best)]
    if stopping is not None:
        rules.append((("train", "early_stopping"), stopping))
    if isinstance(job.train.optimizer.schedule, PlateauSpec):
        rules.append((("train", "optimizer", "schedule"), job.train.optimizer.schedule))
    for path, rule in rules:
        metric, mode = rule.metric or "", rule.mode
        right = known.get(metric)
        if right is None:
            yield JobFileError(
                f"wrong value for `{'.'.join(path)}.metric`{did_you_mean(metric, known)}",
                expected=one_of(known),
                received=f"`{metric}`",
                place=document.value_place((*path, "metric")),
            )
        elif mode != right:
            yield JobFileError(
                f"`{metric}` is best when it is {'smallest' if right == 'min' else 'largest'}, "
                f"but `{'.'.join(path)}.mode` is `{mode}`",
                expected=f"`mode: {right}`",
                received=f"`mode: {mode}`",
                place=document.value_place((*path, "mode" if (*path, "mode") in document.places else "metric")),
                remedy=f"write `{path[-1]}: {{metric: {metric}, mode: {right}}}`",
            )


def check_warmup(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """The learning rate falls after it has risen."""
    schedule = job.train.optimizer.schedule
    if isinstance(schedule, CosineSpec) and schedule.warmup_epochs >= job.train.epochs:
        yield JobFileError(
            "the warm-up takes the whole training, so that the learning rate never falls",
            expected=f"fewer than the {job.train.epochs} epochs of `train.epochs`",
            received=f"{schedule.warmup_epochs:g}",
            place=document.value_place(("train", "optimizer", "schedule", "warmup_epochs")),
            remedy="shorten `warmup_epochs`, or raise `train.epochs`",
        )


def check_xla(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """XLA compiles the step of one replica, in its own operations."""
    if job.train.xla is True and job.train.deterministic is True:
        yield JobFileError(
            "XLA has no deterministic form of some operations, such as the gradient of max-pooling",
            expected="`deterministic: auto`, or `xla: false`",
            received="`true` for both",
            place=document.value_place(("train", "deterministic")),
        )
    replicas = known_replicas(job.resources) or job.resources.workers
    if job.train.xla is True and replicas > 1:
        yield JobFileError(
            "XLA cannot compile a step that several replicas share",
            expected="one replica",
            received=f"{replicas} replicas",
            place=document.value_place(("train", "xla")),
            remedy="set `train.xla: false`",
        )
    for number, spec in enumerate(job.data.image.augment):
        if job.train.xla is True and isinstance(spec, CropSpec | RandAugmentSpec):
            yield JobFileError(
                f"XLA cannot compile the change `{spec.type}`, which moves pictures by parts of a pixel",
                expected="changes without it, or `train.xla: false`",
                received=spec.type,
                place=document.value_place(("data", "image", "augment", number)),
            )
