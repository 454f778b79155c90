"""Fusions of towers: the one place that turns a spec into a fusion."""

from typing import Any, assert_never

from mmdist.models.fusion.bilinear import BilinearFusion
from mmdist.models.fusion.concat import ConcatFusion
from mmdist.models.fusion.cross_attention import CrossAttentionFusion
from mmdist.models.fusion.fuse import Fuse, MakeHead
from mmdist.models.fusion.gated import GatedFusion
from mmdist.models.fusion.late import LateFusion
from mmdist.spec.model import (
    BilinearSpec,
    ConcatSpec,
    CrossAttentionSpec,
    FusionSpec,
    GatedSpec,
    LateSpec,
    RegularizationSpec,
)

__all__ = [
    "BilinearFusion",
    "ConcatFusion",
    "CrossAttentionFusion",
    "Fuse",
    "GatedFusion",
    "LateFusion",
    "MakeHead",
    "build_fusion",
]


def build_fusion(spec: FusionSpec, *, regularization: RegularizationSpec, seed: int) -> Any:
    """The fusion that the spec's `type` names: a layer from the towers' outputs to float (B, D), or a LateFusion."""
    match spec:
        case ConcatSpec():
            return ConcatFusion(spec, regularization=regularization, seed=seed)
        case GatedSpec():
            return GatedFusion(spec, regularization=regularization, seed=seed)
        case BilinearSpec():
            return BilinearFusion(spec, regularization=regularization, seed=seed)
        case CrossAttentionSpec():
            return CrossAttentionFusion(spec, regularization=regularization, seed=seed)
        case LateSpec():
            return LateFusion(spec)
        case _:
            assert_never(spec)
