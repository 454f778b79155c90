"""Dense layers for the fields of records."""

from typing import Any

import keras

from mmdist.models.draws import Dropout
from mmdist.models.facts import TabularFacts
from mmdist.models.layers import StandIn, TowerOutput, kernel_penalty
from mmdist.models.seeds import glorot
from mmdist.models.tabular.fields import FieldEmbedding
from mmdist.spec.model import MLPSpec, RegularizationSpec

__all__ = ["MLPTower"]

# B batch, F fields, D width


class MLPTower(keras.layers.Layer):
    """Each field as a vector, all of them side by side, then dense layers with ReLU.

    Args:
        spec: Width of a field's vector and of the layers.
        regularization: Penalties on the kernels, and dropout after each layer.
        facts: The fields.
        seed: The job's seed, which the weights are drawn from.
    """

    def __init__(self, spec: MLPSpec, *, regularization: RegularizationSpec, facts: TabularFacts, seed: int) -> None:
        super().__init__(name="tabular_tower")
        self.fields = FieldEmbedding(spec.width, facts=facts, seed=seed)
        self.flatten = keras.layers.Flatten(name="flatten")
        self.dense = [
            keras.layers.Dense(
                units,
                activation="relu",
                kernel_initializer=glorot(seed, f"tabular/dense-{number}"),
                kernel_regularizer=kernel_penalty(regularization),
                name=f"dense_{number}",
            )
            for number, units in enumerate(spec.layers)
        ]
        self.drops = [
            Dropout(regularization.dropout, seed=seed, name=f"tabular_dropout_{number}")
            for number in range(len(spec.layers))
        ]
        self.stand_in = StandIn(spec.layers[-1])

    def call(self, tabular_BF2: Any, present_B: Any, training: bool = False) -> TowerOutput:
        """Fields float32 (B, F, 2), present bool (B,): tokens (B, F, width), pooled (B, layers[-1])."""
        tokens_BFD = self.fields(tabular_BF2)
        pooled_BD = self.flatten(tokens_BFD)
        for dense, drop in zip(self.dense, self.drops, strict=True):
            pooled_BD = drop(dense(pooled_BD), training=training)
        mask_BF = keras.ops.logical_and(keras.ops.ones_like(tabular_BF2[..., 0], dtype="bool"), present_B[:, None])
        return TowerOutput(tokens_BFD, mask_BF, self.stand_in(pooled_BD, present_B))
