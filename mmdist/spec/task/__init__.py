"""The task section of a job file: what is predicted, chosen by its type."""

from typing import Annotated

from pydantic import Field

from mmdist.spec.base import default_type
from mmdist.spec.task.base import Mode, TaskBase
from mmdist.spec.task.classification import ClassificationSpec
from mmdist.spec.task.multilabel import MultilabelSpec
from mmdist.spec.task.ordinal import OrdinalSpec
from mmdist.spec.task.regression import RegressionSpec

__all__ = [
    "ClassificationSpec",
    "Mode",
    "MultilabelSpec",
    "OrdinalSpec",
    "RegressionSpec",
    "TaskBase",
    "TaskSpec",
]

TaskSpec = Annotated[
    ClassificationSpec | MultilabelSpec | OrdinalSpec | RegressionSpec,
    Field(discriminator="type"),
    default_type("classification"),
]
