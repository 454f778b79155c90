"""Image towers, each chosen by its type."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from mmdist.spec.base import Spec

__all__ = ["CNNSpec", "ImageTowerSpec"]


class CNNSpec(Spec):
    """3x3 convolutions with ReLU, each followed by 2x2 max-pooling; then flatten and a dense layer."""

    type: Literal["cnn"] = "cnn"
    filters: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (32, 64, 128)
    """Filters of each convolution."""
    units: PositiveInt = 128
    """Width of the dense layer."""


ImageTowerSpec = CNNSpec
