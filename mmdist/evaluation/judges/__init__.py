"""Judges of a model's answers: the one place that turns a task into a judge."""

from collections.abc import Sequence
from typing import assert_never

from mmdist.data.captions import CaptionEncoder
from mmdist.evaluation.judges.base import Judge
from mmdist.evaluation.judges.captioning import CaptioningJudge
from mmdist.evaluation.judges.classification import ClassificationJudge
from mmdist.evaluation.judges.multilabel import MultilabelJudge
from mmdist.evaluation.judges.ordinal import OrdinalJudge
from mmdist.evaluation.judges.regression import RegressionJudge
from mmdist.evaluation.judges.retrieval import RetrievalJudge
from mmdist.spec.evaluation import EvaluationSpec
from mmdist.spec.task import (
    CaptioningSpec,
    ClassificationSpec,
    MultilabelSpec,
    OrdinalSpec,
    RegressionSpec,
    RetrievalSpec,
    TaskSpec,
)

__all__ = ["Judge", "make_judge"]


def make_judge(task: TaskSpec, labels: Sequence[str], spec: EvaluationSpec) -> Judge:
    """The judge of a task's answers.

    Args:
        task: What is predicted.
        labels: In the order of the model's outputs; the words of captions; empty for a task without.
        spec: Level, resamples, bins and mistakes.
    """
    match task:
        case ClassificationSpec():
            return ClassificationJudge(labels, spec)
        case OrdinalSpec():
            return OrdinalJudge(labels, spec)
        case MultilabelSpec():
            return MultilabelJudge(labels, spec, threshold=task.threshold)
        case RegressionSpec():
            return RegressionJudge(spec)
        case CaptioningSpec():
            return CaptioningJudge(CaptionEncoder(tuple(labels), task.tokens, task.lowercase), spec)
        case RetrievalSpec():
            return RetrievalJudge(task.width, spec)
        case _:
            assert_never(task)
