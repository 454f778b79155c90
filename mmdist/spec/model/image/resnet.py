"""Residual networks."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from mmdist.spec.model.image.base import ImageTowerBase, Misfit, Normalization, Rate

__all__ = ["ResNetSpec"]


class ResNetSpec(ImageTowerBase):
    """Residual blocks of two 3x3 convolutions; then the mean and a dense layer."""

    type: Literal["resnet"] = "resnet"
    depths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (2, 2, 2)
    """Blocks of each stage; each stage after the first halves height and width."""
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (32, 64, 128)
    """Channels of each stage; as many as `depths`."""
    normalization: Normalization = "group"
    """Over all rows of the batch (`batch`, which learns faster) or over each row by itself (`group`)."""
    stem_stride: Annotated[int, Field(ge=1, le=4)] = 2
    """Pixels between two places of the first convolution; 1 keeps more of small pictures, and takes 4 times as long."""
    stochastic_depth: Rate = 0.0
    """Share of the rows that leave the last block out, in training; earlier blocks are left out less."""

    def misfit(self, height: int, width: int) -> Misfit | None:
        """A stage halves what it is given, which must be there."""
        smallest = self.stem_stride * 2 ** (len(self.depths) - 1)
        if min(height, width) >= smallest:
            return None
        return Misfit(
            f"pictures of {height} x {width} are too small for {len(self.depths)} stages",
            f"at least {smallest} x {smallest}",
            "raise `data.image.size`, or give `model.image` fewer stages",
        )
