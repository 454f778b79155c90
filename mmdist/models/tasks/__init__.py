"""Tasks: the one place that turns a spec into a task."""

from typing import assert_never

from mmdist.models.facts import DataFacts
from mmdist.models.tasks.base import Task
from mmdist.models.tasks.captioning import CaptioningTask
from mmdist.models.tasks.classification import ClassificationHead, ClassificationTask
from mmdist.models.tasks.heads import HeadTask
from mmdist.models.tasks.multilabel import MultilabelTask
from mmdist.models.tasks.ordinal import OrdinalTask
from mmdist.models.tasks.regression import RegressionTask
from mmdist.models.tasks.retrieval import RetrievalTask
from mmdist.spec.model import RegularizationSpec
from mmdist.spec.task import (
    CaptioningSpec,
    ClassificationSpec,
    MultilabelSpec,
    OrdinalSpec,
    RegressionSpec,
    RetrievalSpec,
    TaskSpec,
)

__all__ = [
    "CaptioningTask",
    "ClassificationHead",
    "ClassificationTask",
    "HeadTask",
    "MultilabelTask",
    "OrdinalTask",
    "RegressionTask",
    "RetrievalTask",
    "Task",
    "build_task",
]


def build_task(spec: TaskSpec, facts: DataFacts, *, regularization: RegularizationSpec, seed: int) -> Task:
    """The task that the spec's `type` names."""
    match spec:
        case ClassificationSpec():
            return ClassificationTask(
                spec,
                regularization=regularization,
                classes=len(facts.labels),
                seed=seed,
                weights=facts.label_weights,
            )
        case MultilabelSpec():
            return MultilabelTask(
                spec,
                regularization=regularization,
                labels=len(facts.labels),
                seed=seed,
                weights=facts.label_weights,
            )
        case OrdinalSpec():
            return OrdinalTask(spec, regularization=regularization, seed=seed)
        case RegressionSpec():
            mean, deviation = facts.target
            return RegressionTask(spec, regularization=regularization, mean=mean, deviation=deviation, seed=seed)
        case CaptioningSpec():
            return CaptioningTask(spec, regularization=regularization, words=len(facts.labels), seed=seed)
        case RetrievalSpec():
            return RetrievalTask(spec, regularization=regularization, seed=seed)
        case _:
            assert_never(spec)
