"""Any number of labels per row."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mmdist.spec.task.base import Mode, TaskBase

__all__ = ["MultilabelSpec"]


class MultilabelSpec(TaskBase):
    """Any number of labels per row, each by a sigmoid and binary cross-entropy."""

    metrics: ClassVar[Mapping[str, Mode]] = {"jaccard": "max", "exact_match": "max"}

    type: Literal["multilabel"] = "multilabel"
    labels: Literal["auto"] | Annotated[tuple[str, ...], Field(min_length=1)] = "auto"
    """The labels in the order of the model's outputs; `auto` takes the training split's, sorted."""
    separator: Literal[";", ",", "|", "/", " ", "\t"] = ";"
    """What stands between the labels in the label's column. An empty text means no label; null is a bad row."""
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """Probability from which a label is given."""
