"""A fusion that weighs the modalities anew in every row and unit."""

from collections.abc import Sequence
from typing import Any

import keras

from mmdist.models.draws import Dropout
from mmdist.models.fusion.presence import counted, present_of
from mmdist.models.layers import TowerOutput, kernel_penalty
from mmdist.models.seeds import glorot
from mmdist.spec.model import GatedSpec, RegularizationSpec

__all__ = ["GatedFusion"]

# B batch, M modalities, D width

_NEVER = -1e9
"""A gate's logit that leaves a weight of exactly 0."""


class GatedFusion(keras.layers.Layer):
    """A gated multimodal unit: each modality's vector through tanh, and their mean with learned weights.

    The weights of a unit come from a softmax over the modalities that the row has; for two of them that is the
    paper's sigmoid. The gates see the stand-ins of absent modalities, the mean does not.

    Args:
        spec: Units (default 128).
        regularization: Penalties on the kernels, and dropout of the fused vector.
        seed: The job's seed.

    Ref: arXiv:1702.01992.
    """

    def __init__(self, spec: GatedSpec, *, regularization: RegularizationSpec, seed: int) -> None:
        super().__init__(name="fusion")
        self.spec = spec
        self._regularization = regularization
        self._seed = seed
        self.hidden: list[Any] = []
        self.drop = Dropout(regularization.dropout, seed=seed, name="fusion_dropout")

    def build(self, towers_shape: Sequence[Any]) -> None:
        """Makes one layer per modality, and the gates between them."""
        self.hidden = [self._dense(self.spec.units, f"hidden_{number}", "tanh") for number in range(len(towers_shape))]
        self.gate = self._dense(len(towers_shape) * self.spec.units, "gate", None) if len(towers_shape) > 1 else None

    def call(self, towers: Sequence[TowerOutput], training: bool = False) -> Any:
        """One output per tower, pooled (B, D_i): the fused vector float (B, units)."""
        count = len(towers)
        pooled = [tower.pooled for tower in towers]
        hidden_BMD = keras.ops.stack([layer(each) for layer, each in zip(self.hidden, pooled, strict=True)], axis=1)
        if self.gate is None:
            return self.drop(hidden_BMD[:, 0], training=training)
        logits_BMD = keras.ops.reshape(self.gate(keras.ops.concatenate(pooled, axis=-1)), (-1, count, self.spec.units))
        is_counted_BM1 = counted(present_of(towers))[:, :, None]
        logits_BMD = keras.ops.where(is_counted_BM1, keras.ops.cast(logits_BMD, "float32"), _NEVER)
        gates_BMD = keras.ops.cast(keras.ops.softmax(logits_BMD, axis=1), hidden_BMD.dtype)
        return self.drop(keras.ops.sum(gates_BMD * hidden_BMD, axis=1), training=training)

    def _dense(self, units: int, name: str, activation: str | None) -> Any:
        return keras.layers.Dense(
            units,
            activation=activation,
            kernel_initializer=glorot(self._seed, f"fusion/{name}"),
            kernel_regularizer=kernel_penalty(self._regularization),
            name=name,
        )
