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
        if training:
            weights = keras.ops.cast(keras.ops.reshape(present_B, (-1, *[1] * (len(values.shape) - 1))), "float32")
            gamma_C, beta_C = tf.identity(self.gamma_C), tf.identity(self.beta_C)
            normalized, mean_C, variance_C, rows = _normalized(values, gamma_C, beta_C, weights)
            rate = keras.ops.where(rows > 0, 1.0 - _PAST_SHARE, 0.0)
            for running_C, now_C in ((self.mean_C, mean_C), (self.variance_C, variance_C)):
                running_C.assign(running_C + rate * (now_C - running_C))
        else:
            normalized = keras.ops.batch_normalization(
                values, self.mean_C, self.variance_C, axis=-1, offset=self.beta_C, scale=self.gamma_C, epsilon=_EPSILON
            )
        return keras.ops.cast(normalized, self.compute_dtype)


def _normalized(values: Any, gamma_C: Any, beta_C: Any, weights: Any) -> tuple[Any, Any, Any, Any]:
    """Features float32 (B, ..., C) normalized over the rows of weight 1, float32 (B, 1, ..., 1), of all replicas.

    Its gradient is written out, for what TensorFlow derives adds up places one by one: see `_sum`.

    Returns:
        The normalized features, mean and variance float32 (C,), and how many places counted.
    """

    @tf.custom_gradient
    def normalize(values: Any, gamma_C: Any, beta_C: Any) -> Any:
        places = math.prod(values.shape[1:-1])
        rows = _over_replicas(tf.reduce_sum(weights)) * places
        divisor = tf.maximum(rows, 1.0)
        mean_C = _over_replicas(_sum(weights * values)) / divisor
        centered = values - mean_C
        variance_C = _over_replicas(_sum(weights * tf.square(centered))) / divisor
        scale_C = tf.math.rsqrt(variance_C + _EPSILON)
        unit = centered * scale_C

        def gradient(given: Any, *_: Any) -> tuple[Any, Any, Any]:
            beta, gamma = _sum(given), _sum(given * unit)
            all_beta, all_gamma = tf.unstack(_over_replicas(tf.stack([beta, gamma])))
            through = weights * (all_beta + unit * all_gamma) / divisor
            return gamma_C * scale_C * (given - through), gamma, beta

        return (unit * gamma_C + beta_C, mean_C, variance_C, rows), gradient

    normalized, mean_C, variance_C, rows = normalize(values, gamma_C, beta_C)
    return normalized, mean_C, variance_C, rows


def _sum(values: Any) -> Any:
    """Over all axes but the last: one axis after the other, for in one go TensorFlow adds number by number on CPUs.

    A sum of n alike numbers, such as the places of a picture's white background, would be off by up to n roundings.
    """
    while len(values.shape) > 1:
        values = tf.reduce_sum(values, axis=-2)
    return values


def _over_replicas(sums: Any) -> Any:
    """Sums over all replicas; as they are outside of a replica, where a model is built."""
    context = tf.distribute.get_replica_context()
    return sums if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, sums)
