"""Residual networks for pictures."""

from typing import Any

import keras

from mmdist.models.draws import StochasticDepth, depth_rates
from mmdist.models.image.tower import ImageTower, places
from mmdist.models.normalization import normalization
from mmdist.models.seeds import glorot
from mmdist.spec.model import RegularizationSpec, ResNetSpec
from mmdist.spec.model.image.base import Normalization

__all__ = ["ResNetTower"]

# B batch, H height, W width, C channels, T = H' * W' places of the last feature map


class ResNetTower(ImageTower):
    """A residual network with full pre-activation; then the mean over all places.

    Group normalization looks at one picture at a time: other rows and the batch's size do not reach it. Batch
    normalization learns faster from scratch.

    Args:
        spec: Blocks and channels of each stage, normalization, stride of the first convolution, stochastic depth.
        regularization: Penalties on the kernels, and dropout of the pooled vector.
        image_size: Height and width of the pictures, in pixels.
        seed: The job's seed, which the weights are drawn from.

    Raises:
        JobFileError: where the pictures are too small for this many stages.

    Ref: arXiv:1603.05027 (blocks), arXiv:1603.09382 (stochastic depth).
    """

    def __init__(
        self, spec: ResNetSpec, *, regularization: RegularizationSpec, image_size: tuple[int, int], seed: int
    ) -> None:
        super().__init__(spec, regularization=regularization, image_size=image_size, seed=seed)
        self.stem = _convolution(spec.widths[0], 3, spec.stem_stride, self.penalty, seed=seed, name="stem")
        rates = iter(depth_rates(spec.stochastic_depth, sum(spec.depths)))
        self.blocks = [
            ResNetBlock(
                width,
                stride=2 if stage and not number else 1,
                is_widening=not number,
                stochastic_depth=next(rates),
                norm=spec.normalization,
                penalty=self.penalty,
                seed=seed,
                name=f"block_{stage}_{number}",
            )
            for stage, (depth, width) in enumerate(zip(spec.depths, spec.widths, strict=True))
            for number in range(depth)
        ]
        self.norm = normalization(spec.normalization, name="norm")
        self.add_head()

    def features(self, image_BHWC: Any, present_B: Any, training: bool) -> tuple[Any, Any]:
        """Tokens float (B, T, widths[-1]), and their mean (B, widths[-1])."""
        features_BHWC = self.stem(image_BHWC)
        for block in self.blocks:
            features_BHWC = block(features_BHWC, present_B, training=training)
        tokens_BTC = places(keras.ops.relu(self.norm(features_BHWC, present_B, training=training)))
        return tokens_BTC, keras.ops.mean(tokens_BTC, axis=1)


class ResNetBlock(keras.layers.Layer):
    """Twice normalization, ReLU and a 3x3 convolution, added to the input; a widening block projects the input."""

    def __init__(
        self,
        width: int,
        *,
        stride: int,
        is_widening: bool,
        stochastic_depth: float,
        norm: Normalization,
        penalty: Any,
        seed: int,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self.width, self.penalty, self.seed = width, penalty, seed
        self.first = _convolution(width, 3, stride, penalty, seed=seed, name=f"{name}_first")
        self.norm = normalization(norm, name="norm")
        self.norm_between = normalization(norm, name="norm_between")
        self.second = _convolution(width, 3, 1, penalty, seed=seed, name=f"{name}_second")
        self.shortcut = (
            _convolution(width, 1, stride, penalty, seed=seed, name=f"{name}_shortcut") if is_widening else None
        )
        self.depth = StochasticDepth(stochastic_depth, seed=seed, name=f"image_{name}_depth")

    def call(self, features_BHWC: Any, present_B: Any, training: bool = False) -> Any:
        """Features float (B, H, W, C), present bool (B,): (B, H / stride, W / stride, width)."""
        active_BHWC = keras.ops.relu(self.norm(features_BHWC, present_B, training=training))
        straight_BHWC = features_BHWC if self.shortcut is None else self.shortcut(active_BHWC)
        between_BHWC = self.norm_between(self.first(active_BHWC), present_B, training=training)
        branch_BHWC = self.second(keras.ops.relu(between_BHWC))
        return straight_BHWC + self.depth(branch_BHWC, training=training)


def _convolution(filters: int, px: int, stride: int, penalty: Any, *, seed: int, name: str) -> Any:
    return keras.layers.Conv2D(
        filters,
        px,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer=glorot(seed, f"image/{name}"),
        kernel_regularizer=penalty,
        name=name.rsplit("_", 1)[-1],
    )
