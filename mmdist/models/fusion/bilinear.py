"""A fusion that multiplies what the modalities say, unit by unit."""

from collections.abc import Sequence
from typing import Any

import keras

from mmdist.models.draws import Dropout
from mmdist.models.fusion.presence import counted, present_of
from mmdist.models.layers import TowerOutput, kernel_penalty
from mmdist.models.seeds import glorot
from mmdist.spec.model import BilinearSpec, RegularizationSpec

__all__ = ["BilinearFusion"]

# B batch, M modalities, R rank


class BilinearFusion(keras.layers.Layer):
    """Low-rank bilinear pooling: each modality's vector through a dense layer and tanh, and their product.

    With the head behind it this is a bilinear form of two vectors whose weights have that rank. An absent modality
    leaves the product as it is.

    Args:
        spec: Rank (default 128), which is the fused vector's width.
        regularization: Penalties on the kernels, and dropout of the fused vector.
        seed: The job's seed.

    Ref: arXiv:1610.04325.
    """

    def __init__(self, spec: BilinearSpec, *, regularization: RegularizationSpec, seed: int) -> None:
        super().__init__(name="fusion")
        self.spec = spec
        self._regularization = regularization
        self._seed = seed
        self.factors: list[Any] = []
        self.drop = Dropout(regularization.dropout, seed=seed, name="fusion_dropout")

    def build(self, towers_shape: Sequence[Any]) -> None:
        """Makes one layer per modality."""
        self.factors = [
            keras.layers.Dense(
                self.spec.rank,
                activation="tanh",
                kernel_initializer=glorot(self._seed, f"fusion/factor_{number}"),
                kernel_regularizer=kernel_penalty(self._regularization),
                name=f"factor_{number}",
            )
            for number in range(len(towers_shape))
        ]

    def call(self, towers: Sequence[TowerOutput], training: bool = False) -> Any:
        """One output per tower, pooled (B, D_i): the fused vector float (B, rank)."""
        factors_BMR = keras.ops.stack(
            [layer(tower.pooled) for layer, tower in zip(self.factors, towers, strict=True)], axis=1
        )
        is_counted_BM1 = counted(present_of(towers))[:, :, None]
        product_BR = keras.ops.prod(
            keras.ops.where(is_counted_BM1, factors_BMR, keras.ops.ones_like(factors_BMR)), axis=1
        )
        return self.drop(product_BR, training=training)
