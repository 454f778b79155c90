"""ConvNeXt, of any size."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from mmdist.spec.model.image.base import ImageTowerBase, Misfit, Rate

__all__ = ["ConvNeXtSpec"]


class ConvNeXtSpec(ImageTowerBase):
    """ConvNeXt: blocks of a 7x7 convolution by channel and a network on each place; then the mean and a dense layer."""

    type: Literal["convnext"] = "convnext"
    depths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (2, 2, 2)
    """Blocks of each stage; each stage after the first halves height and width."""
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (48, 96, 192)
    """Channels of each stage; as many as `depths`."""
    stem_px: PositiveInt = 4
    """Side of the patches that the first layer makes of the picture, in pixels."""
    layer_scale: NonNegativeFloat = 0.1
    """What each block's branch is multiplied by at the start; deep networks want less (1e-6)."""
    stochastic_depth: Rate = 0.0
    """Share of the rows that leave the last block out, in training; earlier blocks are left out less."""

    def misfit(self, height: int, width: int) -> Misfit | None:
        """A stage halves what it is given, which must be there."""
        smallest = self.stem_px * 2 ** (len(self.depths) - 1)
        if min(height, width) >= smallest:
            return None
        return Misfit(
            f"pictures of {height} x {width} are too small for {len(self.depths)} stages",
            f"at least {smallest} x {smallest}",
            "raise `data.image.size`, or give `model.image` a smaller `stem_px` or fewer stages",
        )
