"""Vision Transformers."""

from typing import Literal

from pydantic import PositiveInt

from mmdist.spec.model.image.base import ImageTowerBase, Misfit, Rate

__all__ = ["ViTSpec"]


class ViTSpec(ImageTowerBase):
    """A Vision Transformer: patches of the picture as tokens of a Transformer; then the mean and a dense layer."""

    type: Literal["vit"] = "vit"
    patch_px: PositiveInt = 8
    """Side of a patch, in pixels; it must divide the pictures' height and width."""
    depth: PositiveInt = 6
    """Blocks of attention and a network of two layers."""
    width: PositiveInt = 128
    """Width of a token; a multiple of `heads`."""
    heads: PositiveInt = 4
    """Heads of the attention."""
    dropout: Rate = 0.0
    """Share of what each block adds that is dropped, in training."""
    stochastic_depth: Rate = 0.0
    """Share of the rows that leave the last block out, in training; earlier blocks are left out less."""

    def misfit(self, height: int, width: int) -> Misfit | None:
        """Pictures are cut into whole patches."""
        if height % self.patch_px == 0 and width % self.patch_px == 0:
            return None
        fitting = [px for px in range(2, min(height, width) + 1) if height % px == 0 and width % px == 0]
        near = sorted(sorted(fitting, key=lambda px: abs(px - self.patch_px))[:2])
        return Misfit(
            f"pictures of {height} x {width} cannot be cut into whole patches of {self.patch_px} pixels",
            f"a height and width that `patch_px` {self.patch_px} divides",
            f"change `data.image.size`, or set `model.image.patch_px` to {' or '.join(map(str, near))}"
            if near
            else "change `data.image.size`",
        )
