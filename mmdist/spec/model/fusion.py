"""Fusions, each chosen by its type."""

from typing import Literal

from mmdist.spec.base import Spec

__all__ = ["ConcatSpec", "FusionSpec"]


class ConcatSpec(Spec):
    """Concatenates the towers' pooled vectors."""

    type: Literal["concat"] = "concat"


FusionSpec = ConcatSpec
