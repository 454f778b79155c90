"""Fusions, each chosen by its type."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from mmdist.spec.base import Spec, default_type

__all__ = ["BilinearSpec", "ConcatSpec", "CrossAttentionSpec", "FusionSpec", "GatedSpec", "LateSpec"]


class ConcatSpec(Spec):
    """Concatenates the towers' pooled vectors."""

    type: Literal["concat"] = "concat"


class GatedSpec(Spec):
    """A gated multimodal unit (arXiv:1702.01992): a mean of the modalities, weighed anew in every row and unit."""

    type: Literal["gated"] = "gated"
    units: PositiveInt = 128
    """Width of the fused vector."""


class BilinearSpec(Spec):
    """Low-rank bilinear pooling (arXiv:1610.04325): the product of the modalities, unit by unit."""

    type: Literal["bilinear"] = "bilinear"
    rank: PositiveInt = 128
    """Rank of the bilinear form, and width of the fused vector."""


class CrossAttentionSpec(Spec):
    """A Transformer over the tokens of all modalities as one sequence; its class token is the fused vector."""

    type: Literal["cross_attention"] = "cross_attention"
    width: PositiveInt = 128
    """Width that all tokens are brought to, and of the fused vector; a multiple of `heads`."""
    heads: PositiveInt = 4
    """Heads of the attention."""
    blocks: PositiveInt = 2
    """Blocks of attention and dense layers."""


class LateSpec(Spec):
    """A head per modality; the mean of the logits of those that a row has."""

    type: Literal["late"] = "late"
    weights: Literal["equal", "learned"] = "equal"
    """How much each modality counts in the mean: all alike, or by one learned weight each."""


FusionSpec = Annotated[
    ConcatSpec | GatedSpec | BilinearSpec | CrossAttentionSpec | LateSpec,
    Field(discriminator="type"),
    default_type("concat"),
]
