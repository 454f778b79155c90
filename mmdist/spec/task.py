"""The task section: what is predicted."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mmdist.spec.base import Spec

__all__ = ["ClassificationSpec", "Mode", "TaskSpec"]

Mode = Literal["min", "max"]


class ClassificationSpec(Spec):
    """One label per row, by softmax and categorical cross-entropy."""

    metrics: ClassVar[Mapping[str, Mode]] = {"accuracy": "max"}
    """What is counted beside the loss, and whether the best value is the smallest or the largest; the first chooses."""

    has_head: ClassVar[bool] = True
    """Whether a row's answer follows from one vector of numbers, so that each modality can have a head of its own."""

    type: Literal["classification"] = "classification"
    labels: Literal["auto"] | Annotated[tuple[str, ...], Field(min_length=2)] = "auto"
    """The labels in the order of the model's outputs; `auto` takes the training split's, sorted."""


TaskSpec = ClassificationSpec
