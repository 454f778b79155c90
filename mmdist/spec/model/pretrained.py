"""What the specs of towers that can start from pretrained weights have in common."""

from typing import Annotated

from pydantic import Field, PositiveInt

from mmdist.spec.model.tower import TowerSpec

__all__ = ["PACKAGE", "PretrainedSpec", "is_weight_path"]

PACKAGE = "package:"


class PretrainedSpec(TowerSpec):
    """A tower that can start from pretrained weights."""

    weights: str | None = None
    """File of pretrained weights: a path, a URL, or `package:NAME/PATH` inside an installed Python package."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """SHA-256 that the file of weights must have, in hexadecimal; asked for where there are several workers."""
    freeze: bool | PositiveInt = False
    """Whether the pretrained weights stay as they are: for good (`true`), or for this many epochs."""
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Learning rate of each pretrained stage, as a share of that of the stage above it, nearer to the output."""


def is_weight_path(weights: str) -> bool:
    """Whether `weights` is a path on local disk, rather than a URL or a name."""
    return "://" not in weights and not weights.startswith(PACKAGE) and weights != "imagenet"
