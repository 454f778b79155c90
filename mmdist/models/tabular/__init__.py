"""Towers for the fields of records: the one place that turns a spec into a tower."""

from typing import assert_never

from mmdist.models.facts import TabularFacts
from mmdist.models.tabular.ft_transformer import FTTransformerTower
from mmdist.models.tabular.mlp import MLPTower
from mmdist.spec.model import FTTransformerSpec, MLPSpec, RegularizationSpec, TabularTowerSpec

__all__ = ["FTTransformerTower", "MLPTower", "build_tabular_tower"]


def build_tabular_tower(
    spec: TabularTowerSpec, *, regularization: RegularizationSpec, facts: TabularFacts, seed: int
) -> MLPTower | FTTransformerTower:
    """The tower that the spec's `type` names."""
    match spec:
        case MLPSpec():
            return MLPTower(spec, regularization=regularization, facts=facts, seed=seed)
        case FTTransformerSpec():
            return FTTransformerTower(spec, regularization=regularization, facts=facts, seed=seed)
        case _:
            assert_never(spec)
