"""Keys of `train` that do not go together."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.job import TrainJob
from mmdist.spec.optimizer import CosineSpec
from mmdist.spec.yaml_source import Document

__all__ = ["check_modes", "check_warmup"]


def check_modes(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """Losses are best when they are smallest, accuracies when they are largest."""
    best, stopping = job.train.checkpoint.keep_best, job.train.early_stopping
    rules: list[tuple[tuple[str, ...], str, str]] = [(("train", "checkpoint", "keep_best"), best.metric, best.mode)]
    if stopping is not None:
        rules.append((("train", "early_stopping"), stopping.metric, stopping.mode))
    for path, metric, mode in rules:
        right = "min" if metric.endswith("/loss") else "max"
        if mode != right:
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
