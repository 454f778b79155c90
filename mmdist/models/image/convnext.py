"""ConvNeXt, of any size."""

from typing import Any

import keras

from mmdist.models.draws import StochasticDepth, depth_rates
from mmdist.models.image.tower import ImageTower, places
from mmdist.models.seeds import glorot, seed_for
from mmdist.spec.model import ConvNeXtSpec, RegularizationSpec

__all__ = ["ConvNeXtTower"]

# B batch, H height, W width, C channels, T = H' * W' places of the last feature map


class ConvNeXtTower(ImageTower):
    """ConvNeXt: a stem of patches, stages of blocks with a layer that halves between them, the mean over all places.

    Args:
        spec: Blocks and channels of each stage, the stem's patches, layer scale and stochastic depth.
        regularization: Penalties on the kernels, and dropout of the pooled vector.
        image_size: Height and width of the pictures, in pixels.
        seed: The job's seed, which the weights are drawn from.

    Raises:
        JobFileError: where the pictures are too small for this many stages.

    Ref: arXiv:2201.03545.
    """

    def __init__(
        self, spec: ConvNeXtSpec, *, regularization: RegularizationSpec, image_size: tuple[int, int], seed: int
    ) -> None:
        super().__init__(spec, regularization=regularization, image_size=image_size, seed=seed)
        rates = iter(depth_rates(spec.stochastic_depth, sum(spec.depths)))
        self.parts: list[Any] = []
        for stage, (depth, width) in enumerate(zip(spec.depths, spec.widths, strict=True)):
            px = 2 if stage else spec.stem_px
            shrink = keras.layers.Conv2D(
                width,
                px,
                strides=px,
                kernel_initializer=glorot(seed, f"image/shrink-{stage}"),
                kernel_regularizer=self.penalty,
                name=f"shrink_{stage}",
            )
            norm = keras.layers.LayerNormalization(epsilon=1e-6, name=f"norm_{stage}")
            # The stem normalizes what it has made; a layer between stages, what it is given.
            self.parts += [norm, shrink] if stage else [shrink, norm]
            self.parts += [
                ConvNeXtBlock(
                    width,
                    layer_scale=spec.layer_scale,
                    stochastic_depth=next(rates),
                    penalty=self.penalty,
                    seed=seed,
                    name=f"block_{stage}_{number}",
                )
                for number in range(depth)
            ]
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")
        self.add_head()

    def features(self, image_BHWC: Any, present_B: Any, training: bool) -> tuple[Any, Any]:
        """Tokens float (B, T, widths[-1]), and their normalized mean (B, widths[-1])."""
        features_BHWC = image_BHWC
        for part in self.parts:
            features_BHWC = part(features_BHWC, training=training)
        tokens_BTC = places(features_BHWC)
        return tokens_BTC, self.norm(keras.ops.mean(tokens_BTC, axis=1))


class ConvNeXtBlock(keras.layers.Layer):
    """A 7x7 convolution by channel, normalization, and a network of two layers with GELU; scaled, and added."""

    def __init__(
        self, width: int, *, layer_scale: float, stochastic_depth: float, penalty: Any, seed: int, name: str
    ) -> None:
        super().__init__(name=name)
        self.spread = keras.layers.DepthwiseConv2D(
            7,
            padding="same",
            # Glorot's rule takes a depthwise kernel for one over all channels, and draws far too small numbers.
            depthwise_initializer=keras.initializers.RandomNormal(
                stddev=1 / 7, seed=seed_for(seed, f"kernel/image/{name}-spread")
            ),
            depthwise_regularizer=penalty,
            name="spread",
        )
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")
        self.hidden, self.out = (
            keras.layers.Dense(
                units,
                activation=activation,
                kernel_initializer=glorot(seed, f"image/{name}-{part}"),
                kernel_regularizer=penalty,
                name=part,
            )
            for part, units, activation in (("hidden", 4 * width, "gelu"), ("out", width, None))
        )
        self.scale_C = self.add_weight(
            shape=(width,), initializer=keras.initializers.Constant(layer_scale), name="scale"
        )
        self.depth = StochasticDepth(stochastic_depth, seed=seed, name=f"image_{name}_depth")

    def call(self, features_BHWC: Any, training: bool = False) -> Any:
        """Features float (B, H, W, C): the same shape."""
        branch_BHWC = self.out(self.hidden(self.norm(self.spread(features_BHWC))))
        branch_BHWC = branch_BHWC * keras.ops.cast(self.scale_C, branch_BHWC.dtype)
        return features_BHWC + self.depth(branch_BHWC, training=training)
