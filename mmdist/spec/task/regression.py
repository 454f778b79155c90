"""A number per row."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from mmdist.spec.task.base import Mode, TaskBase

__all__ = ["RegressionSpec"]


class RegressionSpec(TaskBase):
    """A number per row. It is trained on values scaled by the training split's mean and standard deviation."""

    metrics: ClassVar[Mapping[str, Mode]] = {"absolute_error": "min"}

    type: Literal["regression"] = "regression"
    loss: Literal["squared", "absolute", "huber"] = "squared"
    """What grows with the scaled error: its square, its size, or its square up to 1 and its size beyond."""
