"""A small convolutional network for recordings."""

from typing import Any

import keras

from mmdist.models.audio.tower import AudioTower
from mmdist.models.normalization import GroupNorm
from mmdist.models.seeds import glorot
from mmdist.spec.model import AudioCNNSpec, RegularizationSpec

__all__ = ["AudioCNNTower"]

# B batch, F windows, M mel bands, C channels, T = F' windows of the last feature map


class AudioCNNTower(AudioTower):
    """3x3 convolutions, normalization by groups of channels, ReLU and 2x2 max-pooling; a token per window that is left.

    Bands stay apart until the dense layer, for a pitch is a place among them; windows are averaged.

    Args:
        spec: Filters of each convolution and units of the dense layer.
        regularization: Penalties on the kernels, and dropout of the pooled vector.
        seed: The job's seed, which the weights are drawn from.

    Ref: arXiv:1609.09430 (convolutional networks over log-mel spectrograms).
    """

    def __init__(self, spec: AudioCNNSpec, *, regularization: RegularizationSpec, seed: int) -> None:
        super().__init__(spec.units, regularization=regularization, seed=seed)
        self.convolutions = [
            keras.layers.Conv2D(
                filters,
                3,
                padding="same",
                use_bias=False,
                kernel_initializer=glorot(seed, f"audio/convolution-{number}"),
                kernel_regularizer=self.penalty,
                name=f"convolution_{number}",
            )
            for number, filters in enumerate(spec.filters)
        ]
        self.norms = [GroupNorm(name=f"norm_{number}") for number in range(len(spec.filters))]
        self.pool = keras.layers.MaxPooling2D(2, padding="same", name="pool")

    def features(self, audio_BFM: Any, present_B: Any, training: bool) -> tuple[Any, Any]:
        """Tokens float (B, T, M' * filters[-1]), and their mean."""
        features_BFMC = audio_BFM[..., None]
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            features_BFMC = self.pool(keras.ops.relu(norm(convolution(features_BFMC), present_B)))
        _, windows, bands, channels = features_BFMC.shape
        tokens_BTD = keras.ops.reshape(features_BFMC, (-1, windows, bands * channels))
        return tokens_BTD, keras.ops.mean(tokens_BTD, axis=1)
