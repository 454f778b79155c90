"""A small convolutional network for pictures."""

from typing import Any

import keras

from mmdist.errors import JobFileError, Place
from mmdist.models.draws import Dropout
from mmdist.models.layers import StandIn, TowerOutput, kernel_penalty
from mmdist.models.seeds import glorot
from mmdist.spec.checks import smallest_image_px
from mmdist.spec.model import CNNSpec, RegularizationSpec

__all__ = ["CNNTower"]

# B batch, H height, W width, C channels, T = H' * W' places of the last feature map, D width


class CNNTower(keras.layers.Layer):
    """3x3 convolutions with ReLU and 2x2 max-pooling, then flatten and a dense layer with ReLU.

    Args:
        spec: Filters of each convolution (default 32, 64, 128) and units of the dense layer (default 128).
        regularization: Penalties on the kernels, and dropout of the pooled vector.
        image_size: Height and width of the pictures, in pixels.
        seed: The job's seed, which the weights are drawn from.

    Raises:
        JobFileError: where the pictures are too small for this many poolings.
    """

    def __init__(
        self, spec: CNNSpec, *, regularization: RegularizationSpec, image_size: tuple[int, int], seed: int
    ) -> None:
        super().__init__(name="image_tower")
        _check_size(spec, image_size)
        penalty = kernel_penalty(regularization)
        self.convolutions = [
            keras.layers.Conv2D(
                filters,
                3,
                activation="relu",
                kernel_initializer=glorot(seed, f"image/convolution-{number}"),
                kernel_regularizer=penalty,
                name=f"convolution_{number}",
            )
            for number, filters in enumerate(spec.filters)
        ]
        self.pool = keras.layers.MaxPooling2D(2, name="pool")
        self.flatten = keras.layers.Flatten(name="flatten")
        self.dense = keras.layers.Dense(
            spec.units,
            activation="relu",
            kernel_initializer=glorot(seed, "image/dense"),
            kernel_regularizer=penalty,
            name="dense",
        )
        self.drop = Dropout(regularization.dropout, seed=seed, name="image_dropout")
        self.stand_in = StandIn(spec.units)

    def call(self, image_BHWC: Any, present_B: Any, training: bool = False) -> TowerOutput:
        """Pictures float32 (B, H, W, 3) in [0, 1], present bool (B,): tokens (B, T, filters[-1]), pooled (B, units)."""
        features_BHWC = image_BHWC
        for convolution in self.convolutions:
            features_BHWC = self.pool(convolution(features_BHWC))
        tokens_BTD = keras.ops.reshape(
            features_BHWC, (-1, features_BHWC.shape[1] * features_BHWC.shape[2], features_BHWC.shape[3])
        )
        pooled_BD = self.drop(self.dense(self.flatten(features_BHWC)), training=training)
        token_mask_BT = keras.ops.logical_and(
            keras.ops.ones_like(tokens_BTD[:, :, 0], dtype="bool"), present_B[:, None]
        )
        return TowerOutput(tokens_BTD, token_mask_BT, self.stand_in(pooled_BD, present_B))


def _check_size(spec: CNNSpec, image_size: tuple[int, int]) -> None:
    smallest = smallest_image_px(spec)
    if min(image_size) < smallest:
        raise JobFileError(
            f"pictures are too small for {len(spec.filters)} convolutions with pooling",
            expected=f"a height and width of at least {smallest} pixels",
            received=f"{image_size[0]} x {image_size[1]}",
            place=Place(key="data.image.size"),
            remedy="raise `data.image.size`, or give `model.image.filters` fewer entries",
        )
