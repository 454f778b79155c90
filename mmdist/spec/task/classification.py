"""One label per row."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mmdist.spec.task.base import Mode, TaskBase

__all__ = ["ClassificationSpec"]


class ClassificationSpec(TaskBase):
    """One label per row, by softmax and categorical cross-entropy."""

    metrics: ClassVar[Mapping[str, Mode]] = {"accuracy": "max"}

    type: Literal["classification"] = "classification"
    labels: Literal["auto"] | Annotated[tuple[str, ...], Field(min_length=2)] = "auto"
    """The labels in the order of the model's outputs; `auto` takes the training split's, sorted."""
