"""Keys of `train` that do not go together."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.job import TrainJob
from mmdist.spec.metrics import known_metrics
from mmdist.spec.optimizer import CosineSpec
from mmdist.spec.suggest import did_you_mean, one_of
from mmdist.spec.train import EarlyStoppingSpec, KeepBestSpec
from mmdist.spec.yaml_source import Document

__all__ = ["check_modes", "check_warmup"]


def check_modes(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """A metric is one that the task counts, and best at its own end: losses are when small, accuracies when large."""
    known = known_metrics(job.task)
    stopping = job.train.early_stopping
    rules: list[tuple[tuple[str, ...], KeepBestSpec | EarlyStoppingSpec]]
    rules = [(("train", "checkpoint", "keep_best"), job.train.checkpoint.keep_best)]
    if stopping is not None:
        rules.append((("train", "early_stopping"), stopping))
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
