"""A Transformer for recordings."""

from typing import Any

import keras

from mmdist.errors import JobFileError, Place
from mmdist.models.audio.tower import AudioTower
from mmdist.models.image.tower import places
from mmdist.models.seeds import glorot, seed_for
from mmdist.models.transformer import TransformerBlock
from mmdist.spec.model import AudioTransformerSpec, RegularizationSpec

__all__ = ["AudioTransformerTower"]

# B batch, F windows, M mel bands, T patches, D width


class AudioTransformerTower(AudioTower):
    """Patches of the spectrogram with learned positions, and blocks of attention; the mean stands for the whole.

    Args:
        spec: Patches, depth, width, heads and units.
        regularization: Penalties on the kernels, and dropout in the blocks and of the pooled vector.
        shape: Windows and bands of the spectrograms.
        seed: The job's seed, which the weights are drawn from.

    Raises:
        JobFileError: where the width is no multiple of the heads.

    Ref: arXiv:2104.01778 (Audio Spectrogram Transformer), without the overlap of its patches.
    """

    def __init__(
        self, spec: AudioTransformerSpec, *, regularization: RegularizationSpec, shape: tuple[int, int], seed: int
    ) -> None:
        super().__init__(spec.units, regularization=regularization, seed=seed)
        if spec.width % spec.heads:
            raise JobFileError(
                f"the width must divide by {spec.heads} heads",
                expected=f"a multiple of {spec.heads}",
                received=str(spec.width),
                place=Place(key="model.audio.width"),
            )
        self.patches = keras.layers.Conv2D(
            spec.width,
            spec.patch,
            strides=spec.patch,
            padding="same",
            kernel_initializer=glorot(seed, "audio/patches"),
            kernel_regularizer=self.penalty,
            name="patches",
        )
        count = -(-shape[0] // spec.patch[0]) * -(-shape[1] // spec.patch[1])
        self.positions_TD = self.add_weight(
            shape=(count, spec.width),
            initializer=keras.initializers.RandomNormal(stddev=0.02, seed=seed_for(seed, "audio/positions")),
            name="positions",
        )
        self.blocks = [
            TransformerBlock(
                spec.width, spec.heads, regularization=regularization, seed=seed, name=f"audio/block-{number}"
            )
            for number in range(spec.depth)
        ]
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")

    def features(self, audio_BFM: Any, present_B: Any, training: bool) -> tuple[Any, Any]:
        """Tokens float (B, T, width), and their mean (B, width)."""
        tokens_BTD = places(self.patches(audio_BFM[..., None]))
        tokens_BTD = tokens_BTD + keras.ops.cast(self.positions_TD, tokens_BTD.dtype)
        everywhere_11T = keras.ops.ones((1, 1, tokens_BTD.shape[1]), "bool")
        for block in self.blocks:
            tokens_BTD = block(tokens_BTD, everywhere_11T, training=training)
        tokens_BTD = self.norm(tokens_BTD)
        return tokens_BTD, keras.ops.mean(tokens_BTD, axis=1)
