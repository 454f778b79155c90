"""Normalizations that towers choose from. All are called alike: features, which rows count, whether it is training."""

import math
from typing import Any, Literal

import keras
import tensorflow as tf

__all__ = ["BatchNorm", "GroupNorm", "normalization"]

# B batch, ... places, C channels

_EPSILON = 1e-5
_PAST_SHARE = 0.9
"""Of the running statistics, in each step: published hundredths and thousandths take thousands of steps to learn."""


def normalization(kind: Literal["batch", "group"], *, name: str) -> Any:
    """A layer that normalizes channels."""
    return BatchNorm(name=name) if kind == "batch" else GroupNorm(name=name)


class GroupNorm(keras.layers.GroupNormalization):
    """Normalization over the places and 1/8 of the channels of one row, whatever other rows there are.

    Ref: arXiv:1803.08494.
    """

    def __init__(self, *, name: str) -> None:
        super().__init__(epsilon=_EPSILON, name=name)

    def build(self, features_shape: Any, present_B_shape: Any) -> None:
        """Makes as many groups as the channels allow, at most 8."""
        self.groups = math.gcd(8, features_shape[-1])
        super().build(features_shape)

    def call(self, features: Any, present_B: Any, training: bool = False) -> Any:
        """Features float (B, ..., C): the same shape."""
        return super().call(features)


class BatchNorm(keras.layers.Layer):
    """Normalization of each channel over the places of all rows that count, of all replicas and workers.

    Keras's own layer takes rows without the modality, and those that pad a batch, for rows of zeros; where it is told
    to leave rows out, each replica has statistics of its own. A batch of which no row counts leaves the running
    statistics, which prediction uses, as they are.

    Ref: arXiv:1502.03167.
    """

    def build(self, features_shape: Any, present_B_shape: Any) -> None:
        """Makes a scale and an offset, and two running statistics, of each channel."""
        shape = (features_shape[-1],)
        self.gamma_C = self.add_weight(shape=shape, initializer="ones", autocast=False, name="gamma")
        self.beta_C = self.add_weight(shape=shape, initializer="zeros", autocast=False, name="beta")
        self.mean_C, self.variance_C = (
            self.add_weight(shape=shape, initializer=value, trainable=False, autocast=False, name=name)
            for name, value in (("moving_mean", "zeros"), ("moving_variance", "ones"))
        )

    def call(self, features: Any, present_B: Any, training: bool = False) -> Any:
        """Features float (B, ..., C), present bool (B,): the same shape as the features."""
        values = keras.ops.cast(features, "float32")
        mean_C, variance_C = self.mean_C.value, self.variance_C.value
        if training:
            mean_C, variance_C = self._statistics(values, present_B)
        normalized = keras.ops.batch_normalization(
            values, mean_C, variance_C, axis=-1, offset=self.beta_C, scale=self.gamma_C, epsilon=_EPSILON
        )
        return keras.ops.cast(normalized, self.compute_dtype)

    def _statistics(self, values: Any, present_B: Any) -> tuple[Any, Any]:
        """Mean and variance of each channel, float32 (C,); the running ones take a step towards them."""
        weights = keras.ops.cast(present_B, "float32")
        weights = keras.ops.reshape(weights, (-1, *[1] * (len(values.shape) - 1)))
        axes = tuple(range(len(values.shape) - 1))
        counted = keras.ops.sum(weights * keras.ops.ones_like(values[..., :1]))
        sums = _over_replicas(keras.ops.append(keras.ops.sum(weights * values, axis=axes), counted))
        rows = keras.ops.maximum(sums[-1], 1.0)
        mean_C = sums[:-1] / rows
        # In a second pass: the difference of two large sums would not be exact.
        variance_C = _over_replicas(keras.ops.sum(weights * keras.ops.square(values - mean_C), axis=axes)) / rows
        rate = keras.ops.where(sums[-1] > 0, 1.0 - _PAST_SHARE, 0.0)
        for running_C, now_C in ((self.mean_C, mean_C), (self.variance_C, variance_C)):
            running_C.assign(running_C + rate * (now_C - running_C))
        return mean_C, variance_C


def _over_replicas(sums: Any) -> Any:
    """Sums over all replicas; as they are outside of a replica, where a model is built."""
    context = tf.distribute.get_replica_context()
    return sums if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, sums)
