"""What all towers for pictures share: the checks before, and the head after their features."""

from typing import Any

import keras

from mmdist.errors import JobFileError, Place
from mmdist.models.draws import Dropout
from mmdist.models.layers import StandIn, TowerOutput, kernel_penalty
from mmdist.models.seeds import glorot
from mmdist.spec.model import ImageTowerBase, RegularizationSpec

__all__ = ["ImageTower", "places"]

# B batch, H height, W width, C channels, T tokens, D width


class ImageTower(keras.layers.Layer):
    """A tower for pictures. A member makes its layers in `__init__`, then calls `add_head`, and has `features`.

    Args:
        spec: The tower's section of the job file.
        regularization: Penalties on the kernels, and dropout of the pooled vector.
        image_size: Height and width of the pictures, in pixels.
        seed: The job's seed, which the weights are drawn from.

    Attributes:
        is_frozen: Whether what was pretrained runs as in prediction, also in training; it is read while tracing.

    Raises:
        JobFileError: where the pictures do not fit the tower.
    """

    def __init__(
        self, spec: ImageTowerBase, *, regularization: RegularizationSpec, image_size: tuple[int, int], seed: int
    ) -> None:
        super().__init__(name="image_tower")
        _check_size(spec, image_size)
        self.is_frozen = False
        self.seed = seed
        self.penalty = kernel_penalty(regularization)
        self._units = spec.units
        self._dropout = regularization.dropout

    @property
    def stages(self) -> list[list[Any]]:
        """The weights that were pretrained, from the input to the output; none where the tower starts at random."""
        return []

    def load_pretrained(self) -> str | None:
        """Puts the pretrained weights into the built tower, and returns their SHA-256; None where there are none."""
        return None

    def add_head(self) -> None:
        """Adds the layers that end every tower: dense with ReLU, dropout, and the stand-in of absent pictures."""
        self.dense = keras.layers.Dense(
            self._units,
            activation="relu",
            kernel_initializer=glorot(self.seed, "image/dense"),
            kernel_regularizer=self.penalty,
            name="dense",
        )
        self.drop = Dropout(self._dropout, seed=self.seed, name="image_dropout")
        self.stand_in = StandIn(self._units)

    def features(self, image_BHWC: Any, present_B: Any, training: bool) -> tuple[Any, Any]:
        """Pictures float32 (B, H, W, 3) in [0, 1], present bool (B,): tokens float (B, T, D), and one vector of all of
        them (B, D')."""
        raise NotImplementedError

    def call(self, image_BHWC: Any, present_B: Any, training: bool = False) -> TowerOutput:
        """Pictures float32 (B, H, W, 3) in [0, 1], present bool (B,): tokens (B, T, D), pooled (B, units)."""
        tokens_BTD, summary_BD = self.features(image_BHWC, present_B, training)
        pooled_BD = self.drop(self.dense(summary_BD), training=training)
        token_mask_BT = keras.ops.logical_and(
            keras.ops.ones_like(tokens_BTD[:, :, 0], dtype="bool"), present_B[:, None]
        )
        return TowerOutput(tokens_BTD, token_mask_BT, self.stand_in(pooled_BD, present_B))


def places(features_BHWC: Any) -> Any:
    """A feature map float (B, H, W, C) as tokens (B, H * W, C)."""
    _, height, width, channels = features_BHWC.shape
    return keras.ops.reshape(features_BHWC, (-1, height * width, channels))


def _check_size(spec: ImageTowerBase, image_size: tuple[int, int]) -> None:
    misfit = spec.misfit(*image_size)
    if misfit is not None:
        raise JobFileError(
            misfit.message,
            expected=misfit.expected,
            received=f"{image_size[0]} x {image_size[1]}",
            place=Place(key="data.image.size"),
            remedy=misfit.remedy,
        )
