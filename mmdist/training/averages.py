"""Exponential moving averages of the weights, kept on every replica beside them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from mmdist.spec.train import AveragesSpec

__all__ = ["Averages"]


class Averages:
    """Averages of weights. Without a spec there are none, and nothing here does anything.

    Args:
        strategy: All replicas of all workers.
        weights: Keras variables, made under the strategy.
        spec: How fast they follow.

    Ref: doi:10.1137/0330046 (averaging the iterates); the slower start is that of TensorFlow's
    `tf.train.ExponentialMovingAverage`.
    """

    def __init__(self, strategy: Any, weights: Sequence[Any], spec: AveragesSpec | None) -> None:
        self.variables: list[Any] = []
        """Of each weight, in their order."""
        self._decay = spec.decay if spec is not None else 0.0
        self._is_in_use = False
        weights = weights if spec is not None else []
        with strategy.scope():
            for weight in weights:
                name = f"average_{weight.path.replace('/', '_')}"
                self.variables.append(keras.Variable(weight.numpy(), trainable=False, dtype=weight.dtype, name=name))
        self._pairs = [
            pair
            for average, weight in zip(self.variables, weights, strict=True)
            for pair in zip(
                *(strategy.experimental_local_results(each.value) for each in (average, weight)), strict=True
            )
        ]

    def follow(self, step: Any) -> None:
        """Takes a step towards the weights, in the graph and outside of replicas; `step` counts those done."""
        if not self._pairs:
            return
        done = tf.cast(tf.convert_to_tensor(step), tf.float32)
        rate = 1.0 - tf.minimum(self._decay, (1.0 + done) / (10.0 + done))
        for average, weight in self._pairs:
            average.assign_sub(tf.cast(rate, average.dtype) * (average - weight))

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The model has the averages as its weights, until the block ends or `put_back` is called."""
        self._swap()
        self._is_in_use = True
        try:
            yield
        finally:
            self.put_back()

    def put_back(self) -> None:
        """Gives the model its weights back, if it has the averages now."""
        if self._is_in_use:
            self._swap()
            self._is_in_use = False

    def take_over(self) -> None:
        """Makes the averages the weights, for good."""
        for average, weight in self._pairs:
            weight.assign(average)

    def _swap(self) -> None:
        for average, weight in self._pairs:
            kept = tf.identity(weight)
            weight.assign(average)
            average.assign(kept)
