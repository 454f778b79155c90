"""What all towers for recordings share: the head after their features."""

from typing import Any

import keras

from mmdist.models.draws import Dropout
from mmdist.models.layers import StandIn, TowerOutput, kernel_penalty
from mmdist.models.seeds import glorot
from mmdist.spec.model import RegularizationSpec

__all__ = ["AudioTower"]

# B batch, F windows, M mel bands, T tokens, D width


class AudioTower(keras.layers.Layer):
    """A tower for log-mel spectrograms. A member makes its layers in `__init__`, and has `features`.

    Args:
        units: Width of the pooled vector.
        regularization: Penalties on the kernels, and dropout of the pooled vector.
        seed: The job's seed, which the weights are drawn from.
    """

    def __init__(self, units: int, *, regularization: RegularizationSpec, seed: int) -> None:
        super().__init__(name="audio_tower")
        self.penalty = kernel_penalty(regularization)
        self.dense = keras.layers.Dense(
            units,
            activation="relu",
            kernel_initializer=glorot(seed, "audio/dense"),
            kernel_regularizer=self.penalty,
            name="dense",
        )
        self.drop = Dropout(regularization.dropout, seed=seed, name="audio_dropout")
        self.stand_in = StandIn(units)

    def features(self, audio_BFM: Any, present_B: Any, training: bool) -> tuple[Any, Any]:
        """Spectrograms float (B, F, M): tokens float (B, T, D), and one vector of all of them (B, D')."""
        raise NotImplementedError

    def call(self, audio_BFM: Any, present_B: Any, training: bool = False) -> TowerOutput:
        """Spectrograms float32 (B, F, M), present bool (B,): tokens (B, T, D), pooled (B, units)."""
        tokens_BTD, summary_BD = self.features(audio_BFM, present_B, training)
        pooled_BD = self.drop(self.dense(summary_BD), training=training)
        token_mask_BT = keras.ops.logical_and(
            keras.ops.ones_like(tokens_BTD[:, :, 0], dtype="bool"), present_B[:, None]
        )
        return TowerOutput(tokens_BTD, token_mask_BT, self.stand_in(pooled_BD, present_B))
