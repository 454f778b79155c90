"""Vision Transformers."""

from typing import Any

import keras

from mmdist.models.draws import depth_rates
from mmdist.models.image.tower import ImageTower, places
from mmdist.models.seeds import glorot, seed_for
from mmdist.models.transformer import TransformerBlock
from mmdist.spec.model import RegularizationSpec, ViTSpec

__all__ = ["ViTTower"]

# B batch, H height, W width, C channels, T = H * W / patch_px^2 patches, D width


class ViTTower(ImageTower):
    """A Vision Transformer with learned positions and normalization before each part; the mean stands for the whole.

    Args:
        spec: Patches, depth, width, heads, dropout and stochastic depth.
        regularization: Penalties on the kernels, and dropout of the pooled vector.
        image_size: Height and width of the pictures, in pixels.
        seed: The job's seed, which the weights are drawn from.

    Raises:
        JobFileError: where the pictures cannot be cut into whole patches.

    Ref: arXiv:2010.11929, and arXiv:2205.01580 for the mean in place of a token of its own.
    """

    def __init__(
        self, spec: ViTSpec, *, regularization: RegularizationSpec, image_size: tuple[int, int], seed: int
    ) -> None:
        super().__init__(spec, regularization=regularization, image_size=image_size, seed=seed)
        self.patches = keras.layers.Conv2D(
            spec.width,
            spec.patch_px,
            strides=spec.patch_px,
            kernel_initializer=glorot(seed, "image/patches"),
            kernel_regularizer=self.penalty,
            name="patches",
        )
        self.positions_TD = self.add_weight(
            shape=(image_size[0] * image_size[1] // spec.patch_px**2, spec.width),
            initializer=keras.initializers.RandomNormal(stddev=0.02, seed=seed_for(seed, "image/positions")),
            name="positions",
        )
        self.blocks = [
            TransformerBlock(
                spec.width,
                spec.heads,
                regularization=regularization.model_copy(update={"dropout": spec.dropout}),
                stochastic_depth=rate,
                seed=seed,
                name=f"image/block-{number}",
            )
            for number, rate in enumerate(depth_rates(spec.stochastic_depth, spec.depth))
        ]
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")
        self.add_head()

    def features(self, image_BHWC: Any, present_B: Any, training: bool) -> tuple[Any, Any]:
        """Tokens float (B, T, width), and their mean (B, width)."""
        tokens_BTD = places(self.patches(image_BHWC))
        tokens_BTD = tokens_BTD + keras.ops.cast(self.positions_TD, tokens_BTD.dtype)
        everywhere_11T = keras.ops.ones((1, 1, tokens_BTD.shape[1]), "bool")
        for block in self.blocks:
            tokens_BTD = block(tokens_BTD, everywhere_11T, training=training)
        tokens_BTD = self.norm(tokens_BTD)
        return tokens_BTD, keras.ops.mean(tokens_BTD, axis=1)
