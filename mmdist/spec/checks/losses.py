"""Whether weights are given for labels that the job names."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.job import TrainJob
from mmdist.spec.suggest import did_you_mean, one_of
from mmdist.spec.task import ClassificationSpec, MultilabelSpec
from mmdist.spec.yaml_source import Document

__all__ = ["check_label_weights"]


def check_label_weights(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """A weight is one of a label; labels that are learned are looked at when they are."""
    task = job.task
    if isinstance(task, ClassificationSpec):
        key, weights = "class_weights", task.class_weights
    elif isinstance(task, MultilabelSpec):
        key, weights = "positive_weights", task.positive_weights
    else:
        return
    if not isinstance(weights, dict) or task.labels == "auto":
        return
    for label in weights:
        if label not in task.labels:
            yield JobFileError(
                f"`task.{key}` has a weight for what is no label{did_you_mean(label, task.labels)}",
                expected=one_of(task.labels),
                received=label,
                place=document.key_place(("task", key, label)),
            )
