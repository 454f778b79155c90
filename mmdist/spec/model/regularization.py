"""What holds a model's weights back."""

from typing import Annotated

from pydantic import Field

from mmdist.spec.base import Spec

__all__ = ["RegularizationSpec"]


class RegularizationSpec(Spec):
    """What holds the weights back, alike in every tower and in the head."""

    l1: Annotated[float, Field(ge=0.0)] = 0.0
    """L1 penalty on the kernels of convolutions and dense layers."""
    l2: Annotated[float, Field(ge=0.0)] = 0.0
    """L2 penalty on the kernels of convolutions and dense layers."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of units dropped after each tower and after the fusion, in training."""
