"""Towers for the fields of records, each chosen by its type."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from mmdist.spec.base import default_type
from mmdist.spec.model.tower import TowerSpec

__all__ = ["FTTransformerSpec", "MLPSpec", "TabularTowerSpec"]


class MLPSpec(TowerSpec):
    """Dense layers with ReLU over all fields side by side."""

    type: Literal["mlp"] = "mlp"
    width: PositiveInt = 16
    """Width of a field's vector."""
    layers: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (64, 64)
    """Widths of the dense layers; the last is the pooled vector's."""


class FTTransformerSpec(TowerSpec):
    """A Transformer that reads each field as a token (FT-Transformer, arXiv:2106.11959)."""

    type: Literal["ft_transformer"] = "ft_transformer"
    width: PositiveInt = 32
    """Width of a field's token, a multiple of `heads`."""
    heads: PositiveInt = 4
    depth: PositiveInt = 2
    """Blocks of attention."""


TabularTowerSpec = Annotated[MLPSpec | FTTransformerSpec, Field(discriminator="type"), default_type("mlp")]
