"""Number formats of the forward and backward pass, and the scale that keeps float16 gradients from vanishing."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import keras
import tensorflow as tf

__all__ = ["LossScale", "built_in"]

Precision = Literal["float32", "bfloat16", "float16"]
_FIRST = 2.0**15
_LARGEST = 2.0**24
_GROWS_AFTER = 2000


@contextmanager
def built_in(precision: Precision) -> Iterator[None]:
    """Layers that are made meanwhile compute in this format; their weights are float32 in any."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class LossScale:
    """What the loss is multiplied by, so that small gradients are float16 numbers; 1 in other formats.

    It is halved after a step whose gradients overflow on any replica, and doubled after 2000 steps without one.

    Args:
        strategy: All replicas of all workers.
        precision: The format.

    Ref: arXiv:1710.03740.
    """

    def __init__(self, strategy: Any, precision: Precision) -> None:
        self.variables: list[Any] = []
        """The scale, and the steps since it changed. A checkpoint keeps them."""
        self._strategy = strategy
        if precision == "float16":
            with strategy.scope():
                self.variables = [
                    keras.Variable(_FIRST, trainable=False, dtype="float32", name="loss_scale"),
                    keras.Variable(0, trainable=False, dtype="int32", name="loss_scale_steps"),
                ]

    def scale(self, loss: Any) -> Any:
        """The loss that gradients are taken of. In a replica's context."""
        return loss * self.variables[0].value if self.variables else loss

    def unscale(self, gradients: Sequence[Any]) -> list[Any]:
        """The gradients of the loss itself, some of them without a number where they overflowed."""
        if not self.variables:
            return list(gradients)
        share = 1.0 / tf.convert_to_tensor(self.variables[0].value)
        return [
            tf.IndexedSlices(each.values * share, each.indices, each.dense_shape)
            if isinstance(each, tf.IndexedSlices)
            else each * share
            for each in gradients
        ]

    def follow(self, broken: Any) -> Any:
        """Takes a step, outside of replicas. Float32 scalar: 1 where it overflowed for its scale, else 0.

        At a scale of 1 there is nothing to halve: what is no number then has diverged.
        """
        if not self.variables:
            return tf.zeros([])
        parts = [self._strategy.experimental_local_results(each.value) for each in self.variables]
        scale, steps = tf.identity(parts[0][0]), parts[1][0] + 1
        overflowed = tf.logical_and(broken, scale > 1.0)
        is_due = steps >= _GROWS_AFTER
        grown = tf.where(is_due, tf.minimum(scale * 2.0, _LARGEST), scale)
        new_scale = tf.where(overflowed, tf.maximum(scale * 0.5, 1.0), grown)
        new_steps = tf.where(tf.logical_or(overflowed, is_due), tf.zeros_like(steps), steps)
        for scale_part, steps_part in zip(*parts, strict=True):
            scale_part.assign(new_scale)
            steps_part.assign(new_steps)
        return tf.cast(overflowed, tf.float32)
