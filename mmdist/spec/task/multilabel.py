"""Any number of labels per row."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mmdist.spec.task.base import FocalGamma, LabelWeights, Mode, Smoothing, TaskBase

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
    label_smoothing: Smoothing = 0.0
    """How far the marks are moved in training, from 0 and 1 towards a half (arXiv:1512.00567)."""
    positive_weights: LabelWeights = "none"
    """What the loss of a label that a row has is multiplied by in training: `balanced` takes the rows without the label
    over those with it, of the training split; a label that a mapping leaves out has 1."""
    focal_gamma: FocalGamma = 0.0
    """Focal loss (arXiv:1708.02002): a label's loss is multiplied by (1 - p) to this power in training, p being the
    probability of what is true of it."""
