"""One label per row."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mmdist.spec.task.base import FocalGamma, LabelWeights, Mode, Smoothing, TaskBase

__all__ = ["ClassificationSpec"]


class ClassificationSpec(TaskBase):
    """One label per row, by softmax and categorical cross-entropy."""

    metrics: ClassVar[Mapping[str, Mode]] = {"accuracy": "max"}

    type: Literal["classification"] = "classification"
    labels: Literal["auto"] | Annotated[tuple[str, ...], Field(min_length=2)] = "auto"
    """The labels in the order of the model's outputs; `auto` takes the training split's, sorted."""
    label_smoothing: Smoothing = 0.0
    """Share of a row's label that is spread evenly over all labels in training (arXiv:1512.00567)."""
    class_weights: LabelWeights = "none"
    """What a row's loss is multiplied by in training, by its label: `balanced` has each label weigh alike in all, by
    its rows in the training split; a label that a mapping leaves out has 1."""
    focal_gamma: FocalGamma = 0.0
    """Focal loss (arXiv:1708.02002): the loss is multiplied by (1 - p) to this power in training, p being the
    probability of the label, so that rows that are learned already count less."""
