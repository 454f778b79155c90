"""One label per row: the head, its loss and what is counted."""

from typing import Any

import keras

from mmdist.models.layers import kernel_penalty
from mmdist.models.seeds import glorot
from mmdist.spec.model import RegularizationSpec

__all__ = ["ClassificationHead", "classification_sums", "probabilities"]

# B batch, C classes, D width


class ClassificationHead(keras.layers.Layer):
    """A dense layer to one logit per class; softmax is in the loss and in `probabilities`.

    Args:
        regularization: Penalties on the kernel.
        classes: Number of labels.
        seed: The job's seed, which the weights are drawn from.
    """

    def __init__(self, *, regularization: RegularizationSpec, classes: int, seed: int) -> None:
        # Logits stay float32 whatever the precision: a softmax over half floats loses rows.
        super().__init__(name="head", dtype="float32")
        self.dense = keras.layers.Dense(
            classes,
            kernel_initializer=glorot(seed, "head"),
            kernel_regularizer=kernel_penalty(regularization),
            dtype="float32",
            name="logits",
        )

    def call(self, fused_BD: Any) -> Any:
        """Fused vectors (B, D): logits float32 (B, C)."""
        return self.dense(fused_BD)


def classification_sums(logits_BC: Any, label_B: Any, mask_B: Any) -> tuple[Any, Any]:
    """Summed cross-entropy and number of right answers over the rows whose mask is 1, both float32 scalars.

    Args:
        logits_BC: float32 (B, C).
        label_B: int32 (B,) in [0, C); any valid value where the mask is 0.
        mask_B: float32 (B,), 1 for a real row and 0 for padding.
    """
    cross_entropy_B = keras.losses.sparse_categorical_crossentropy(label_B, logits_BC, from_logits=True)
    right_B = keras.ops.equal(keras.ops.argmax(logits_BC, axis=-1), keras.ops.cast(label_B, "int32"))
    right_B = keras.ops.cast(right_B, "float32")
    return keras.ops.sum(cross_entropy_B * mask_B), keras.ops.sum(right_B * mask_B)


def probabilities(logits_BC: Any) -> Any:
    """Softmax over the classes: float32 (B, C), rows summing to 1."""
    return keras.ops.softmax(logits_BC, axis=-1)
