"""A small convolutional network for pictures."""

from typing import Any

import keras

from mmdist.models.image.tower import ImageTower, places
from mmdist.models.normalization import normalization
from mmdist.models.seeds import glorot
from mmdist.spec.model import CNNSpec, RegularizationSpec

__all__ = ["CNNTower"]

# B batch, H height, W width, C channels, T = H' * W' places of the last feature map, D width


class CNNTower(ImageTower):
    """3x3 convolutions, normalized if asked for, with ReLU and 2x2 max-pooling; then flatten, and dense with ReLU.

    Args:
        spec: Filters of each convolution, their normalization, and units of the dense layer.
        regularization: Penalties on the kernels, and dropout of the pooled vector.
        image_size: Height and width of the pictures, in pixels.
        seed: The job's seed, which the weights are drawn from.

    Raises:
        JobFileError: where the pictures are too small for this many poolings.
    """

    def __init__(
        self, spec: CNNSpec, *, regularization: RegularizationSpec, image_size: tuple[int, int], seed: int
    ) -> None:
        super().__init__(spec, regularization=regularization, image_size=image_size, seed=seed)
        self.convolutions = [
            keras.layers.Conv2D(
                filters,
                3,
                use_bias=not spec.normalization,
                kernel_initializer=glorot(seed, f"image/convolution-{number}"),
                kernel_regularizer=self.penalty,
                name=f"convolution_{number}",
            )
            for number, filters in enumerate(spec.filters)
        ]
        self.norms = [
            normalization(spec.normalization, name=f"norm_{number}") if spec.normalization else None
            for number in range(len(spec.filters))
        ]
        self.pool = keras.layers.MaxPooling2D(2, name="pool")
        self.flatten = keras.layers.Flatten(name="flatten")
        self.add_head()

    def features(self, image_BHWC: Any, present_B: Any, training: bool) -> tuple[Any, Any]:
        """Tokens float (B, T, filters[-1]), and all of them in a row (B, T * filters[-1])."""
        features_BHWC = image_BHWC
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            features_BHWC = convolution(features_BHWC)
            if norm is not None:
                features_BHWC = norm(features_BHWC, present_B, training=training)
            features_BHWC = self.pool(keras.ops.relu(features_BHWC))
        return places(features_BHWC), self.flatten(features_BHWC)
