"""The task section of a job file: what is predicted, chosen by its type."""

from typing import Annotated

from pydantic import Field

from mmdist.spec.base import default_type
from mmdist.spec.task.base import LabelWeights, Mode, TaskBase
from mmdist.spec.task.captioning import CaptioningSpec, DecoderSpec, LSTMDecoderSpec, TransformerDecoderSpec
from mmdist.spec.task.classification import ClassificationSpec
from mmdist.spec.task.multilabel import MultilabelSpec
from mmdist.spec.task.ordinal import OrdinalSpec
from mmdist.spec.task.regression import RegressionSpec
from mmdist.spec.task.retrieval import RetrievalSpec

__all__ = [
    "CaptioningSpec",
    "ClassificationSpec",
    "DecoderSpec",
    "LSTMDecoderSpec",
    "LabelTask",
    "LabelWeights",
    "Mode",
    "MultilabelSpec",
    "OrdinalSpec",
    "RegressionSpec",
    "RetrievalSpec",
    "TaskBase",
    "TaskSpec",
    "TransformerDecoderSpec",
]

LabelTask = ClassificationSpec | MultilabelSpec | OrdinalSpec
"""Tasks whose answers are among labels that are known before training."""

TaskSpec = Annotated[
    LabelTask | RegressionSpec | CaptioningSpec | RetrievalSpec,
    Field(discriminator="type"),
    default_type("classification"),
]
