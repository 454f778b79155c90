"""Convolutions and poolings, the simplest of the image towers."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from mmdist.spec.model.image.base import ImageTowerBase, Misfit, Normalization

__all__ = ["CNNSpec"]


class CNNSpec(ImageTowerBase):
    """3x3 convolutions with ReLU, each followed by 2x2 max-pooling; then flatten and a dense layer.

    With `normalization`, it lies between a convolution and its ReLU.
    """

    type: Literal["cnn"] = "cnn"
    filters: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (32, 64, 128)
    """Filters of each convolution."""
    normalization: Normalization | None = None
    """After each convolution, over all rows of the batch (`batch`) or over each row by itself (`group`)."""

    def misfit(self, height: int, width: int) -> Misfit | None:
        """Every convolution takes its border off, and every pooling halves what is left."""
        smallest = 1
        for _ in self.filters:
            smallest = 2 * smallest + 2
        if min(height, width) >= smallest:
            return None
        return Misfit(
            f"pictures of {height} x {width} are too small for {len(self.filters)} convolutions with pooling",
            f"at least {smallest} x {smallest}",
            "raise `data.image.size`, or give `model.image.filters` fewer entries",
        )
