"""What every task's section has."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from mmdist.spec.base import Spec

__all__ = ["Mode", "TaskBase"]

Mode = Literal["min", "max"]


class TaskBase(Spec):
    """What is predicted."""

    metrics: ClassVar[Mapping[str, Mode]] = {}
    """What is counted beside the loss, and whether the best value is the smallest or the largest; the first chooses."""

    has_head: ClassVar[bool] = True
    """Whether a row's answer follows from one vector of numbers, so that each modality can have a head of its own."""
