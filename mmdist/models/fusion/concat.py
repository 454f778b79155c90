"""The plainest fusion: the towers' pooled vectors side by side."""

from collections.abc import Sequence
from typing import Any

import keras

from mmdist.models.draws import Dropout
from mmdist.models.layers import TowerOutput
from mmdist.spec.model import ConcatSpec, RegularizationSpec

__all__ = ["ConcatFusion"]


class ConcatFusion(keras.layers.Layer):
    """Concatenates the pooled vectors; a tower without its modality brings its learned stand-in.

    Args:
        spec: Chooses this fusion; it has no settings.
        regularization: Dropout of the fused vector.
        seed: The job's seed.
    """

    def __init__(self, spec: ConcatSpec, *, regularization: RegularizationSpec, seed: int) -> None:
        super().__init__(name="fusion")
        self.spec = spec
        self.drop = Dropout(regularization.dropout, seed=seed, name="fusion_dropout")

    def call(self, towers: Sequence[TowerOutput], training: bool = False) -> Any:
        """One output per tower, pooled (B, D_i): the fused vector float (B, sum of D_i)."""
        pooled = [tower.pooled for tower in towers]
        fused_BD = pooled[0] if len(pooled) == 1 else keras.ops.concatenate(pooled, axis=-1)
        return self.drop(fused_BD, training=training)
