"""Fusions of towers: the one place that turns a spec into a fusion."""

from typing import assert_never

from mmdist.models.fusion.concat import ConcatFusion
from mmdist.spec.model import ConcatSpec, FusionSpec, RegularizationSpec

__all__ = ["ConcatFusion", "build_fusion"]


def build_fusion(spec: FusionSpec, *, regularization: RegularizationSpec, seed: int) -> ConcatFusion:
    """The fusion that the spec's `type` names."""
    match spec:
        case ConcatSpec():
            return ConcatFusion(spec, regularization=regularization, seed=seed)
        case _:
            assert_never(spec)
