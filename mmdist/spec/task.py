"""The task section: what is predicted."""

from typing import Annotated, Literal

from pydantic import Field

from mmdist.spec.base import Spec

__all__ = ["ClassificationSpec", "TaskSpec"]


class ClassificationSpec(Spec):
    """One label per row, by softmax and categorical cross-entropy."""

    type: Literal["classification"] = "classification"
    labels: Literal["auto"] | Annotated[tuple[str, ...], Field(min_length=2)] = "auto"
    """The labels in the order of the model's outputs; `auto` takes the training split's, sorted."""


TaskSpec = ClassificationSpec
