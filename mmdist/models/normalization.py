"""Normalizations that towers choose from. All are called alike: features, which rows count, whether it is training."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import keras
import tensorflow as tf

__all__ = ["BatchNorm", "CountedRows", "GroupNorm", "InnerBatchNorm", "normalization"]

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


class _ChannelNorm(keras.layers.Layer):
    """What batch normalization is, however its layer is called.

    Args:
        epsilon: What is added to a variance.
        name: The layer's.
    """

    def __init__(self, *, name: str, epsilon: float = _EPSILON) -> None:
        super().__init__(name=name)
        self.epsilon = epsilon

    def build(self, features_shape: Any, *_: Any) -> None:
        """Makes a scale and an offset, and two running statistics, of each channel."""
        shape = (features_shape[-1],)
        self.gamma_C = self.add_weight(shape=shape, initializer="ones", autocast=False, name="gamma")
        self.beta_C = self.add_weight(shape=shape, initializer="zeros", autocast=False, name="beta")
        self.mean_C, self.variance_C = (
            self.add_weight(shape=shape, initializer=value, trainable=False, autocast=False, name=name)
            for name, value in (("moving_mean", "zeros"), ("moving_variance", "ones"))
        )

    def normalize(self, features: Any, present_B: Any, training: bool) -> Any:
        """Features float (B, ..., C), present bool (B,), or None for all: the same shape as the features."""
        values = keras.ops.cast(features, "float32")
        if training:
            present_B = tf.ones(tf.shape(values)[:1]) if present_B is None else present_B
            weights = keras.ops.cast(keras.ops.reshape(present_B, (-1, *[1] * (len(values.shape) - 1))), "float32")
            gamma_C, beta_C = tf.identity(self.gamma_C), tf.identity(self.beta_C)
            normalized, mean_C, variance_C, rows = _normalized(values, gamma_C, beta_C, weights, self.epsilon)
            rate = keras.ops.where(rows > 0, 1.0 - _PAST_SHARE, 0.0)
            for running_C, now_C in ((self.mean_C, mean_C), (self.variance_C, variance_C)):
                running_C.assign(running_C + rate * (now_C - running_C))
        else:
            running = {"mean": self.mean_C, "variance": self.variance_C, "offset": self.beta_C, "scale": self.gamma_C}
            normalized = keras.ops.batch_normalization(values, axis=-1, **running, epsilon=self.epsilon)
        return keras.ops.cast(normalized, self.compute_dtype)


class BatchNorm(_ChannelNorm):
    """Normalization of each channel over the places of all rows that count, of all replicas and workers.

    Keras's own layer takes rows without the modality, and those that pad a batch, for rows of zeros; where it is told
    to leave rows out, each replica has statistics of its own. A batch of which no row counts leaves the running
    statistics, which prediction uses, as they are.

    Ref: arXiv:1502.03167.
    """

    def call(self, features: Any, present_B: Any, training: bool = False) -> Any:
        """Features float (B, ..., C), present bool (B,): the same shape as the features."""
        return self.normalize(features, present_B, training)


class CountedRows(threading.local):
    """Tells the layers of a whole network which rows count. Each replica is traced by a thread of its own."""

    def __init__(self) -> None:
        self.present_B: Any = None

    @contextmanager
    def are(self, present_B: Any) -> Iterator[None]:
        """Within, the rows are those, bool (B,)."""
        self.present_B = present_B
        try:
            yield
        finally:
            self.present_B = None


class InnerBatchNorm(_ChannelNorm):
    """`BatchNorm` inside a network whose layers are called with features alone, as Keras's own layer is.

    Args:
        rows: Where the network's caller says which rows count; all do where it says nothing.
        epsilon: What is added to a variance.
        name: The layer's.
    """

    def __init__(self, rows: CountedRows, *, name: str, epsilon: float) -> None:
        super().__init__(name=name, epsilon=epsilon)
        self._rows = rows

    def call(self, features: Any, training: bool = False, mask: Any = None) -> Any:
        """Features float (B, ..., C): the same shape."""
        return self.normalize(features, self._rows.present_B, training)


def _normalized(values: Any, gamma_C: Any, beta_C: Any, weights: Any, epsilon: float) -> tuple[Any, Any, Any, Any]:
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
        # Rows that do not count end as the offset: grown by layer after layer, they would end as no numbers.
        centered = weights * (values - mean_C)
        variance_C = _over_replicas(_sum(tf.square(centered))) / divisor
        scale_C = tf.math.rsqrt(variance_C + epsilon)
        unit = centered * scale_C

        def gradient(given: Any, *_: Any) -> tuple[Any, Any, Any]:
            given = weights * given
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
