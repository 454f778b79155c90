"""Published networks, with or without their pretrained weights."""

from typing import Literal

from pydantic import PositiveInt

from mmdist.spec.model.image.base import ImageTowerBase, Misfit
from mmdist.spec.model.pretrained import PretrainedSpec

__all__ = ["ApplicationSpec", "NetName"]

NetName = Literal[
    "mobilenetv2",
    "mobilenetv2_035",
    "efficientnetv2b0",
    "efficientnetv2b1",
    "efficientnetv2s",
    "resnet50v2",
    "resnet101v2",
    "convnext_tiny",
    "convnext_small",
]

_SMALLEST = 32


class ApplicationSpec(ImageTowerBase, PretrainedSpec):
    """A published network of keras.applications without its top; then the mean over all places and a dense layer."""

    type: Literal["application"] = "application"
    net: NetName = "mobilenetv2"
    """The network; `mobilenetv2_035` has 0.35 times the channels."""
    resize: tuple[PositiveInt, PositiveInt] | None = None
    """Height and width that pictures are scaled to inside the tower: pretrained weights know things by their size."""
    weights: str | None = None
    """`imagenet`, or a file of weights named by layer (`.h5` of Keras, `.safetensors`): a path, a URL, or
    `package:NAME/PATH` inside an installed Python package. Without it, the network starts at random."""

    def misfit(self, height: int, width: int) -> Misfit | None:
        """The networks halve height and width five times."""
        height, width = self.resize or (height, width)
        if min(height, width) >= _SMALLEST:
            return None
        return Misfit(
            f"pictures of {height} x {width} are too small for `{self.net}`, which halves them five times",
            f"at least {_SMALLEST} x {_SMALLEST}",
            f"raise `data.image.size`, or set `model.image.resize` to [{_SMALLEST}, {_SMALLEST}] or more",
        )
