"""What every task's section has."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat

from mmdist.spec.base import Spec

__all__ = ["FocalGamma", "LabelWeights", "Mode", "Smoothing", "TaskBase"]

Mode = Literal["min", "max"]
LabelWeights = Literal["none", "balanced"] | dict[str, PositiveFloat]
Smoothing = Annotated[float, Field(ge=0.0, lt=1.0)]
FocalGamma = Annotated[float, Field(ge=0.0, le=10.0)]


class TaskBase(Spec):
    """What is predicted."""

    metrics: ClassVar[Mapping[str, Mode]] = {}
    """What is counted beside the loss, and whether the best value is the smallest or the largest; the first chooses."""

    has_head: ClassVar[bool] = True
    """Whether a row's answer follows from one vector of numbers, so that each modality can have a head of its own."""

    has_label: ClassVar[bool] = True
    """Whether a column says what is to be learned of a row."""
