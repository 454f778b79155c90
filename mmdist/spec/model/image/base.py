"""What the specs of image towers have in common: a width of the answer, and the pictures that they can read."""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field, PositiveInt

from mmdist.spec.model.tower import TowerSpec

__all__ = ["ImageTowerBase", "Misfit", "Normalization", "Rate"]

Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Normalization = Literal["batch", "group"]


class Misfit(NamedTuple):
    """Why pictures of some size cannot be read."""

    message: str
    expected: str
    remedy: str


class ImageTowerBase(TowerSpec):
    """A tower for pictures."""

    units: PositiveInt = 128
    """Width of the dense layer that makes the pooled vector."""

    def misfit(self, height: int, width: int) -> Misfit | None:
        """Why pictures of this size, in pixels, do not fit the tower; None where they do."""
        raise NotImplementedError
