"""A fusion of answers: each modality has a head of its own, and the mean of those that a row has counts."""

from collections.abc import Sequence
from typing import Any

import keras

from mmdist.models.fusion.presence import counted, present_of
from mmdist.models.layers import TowerOutput
from mmdist.spec.model import LateSpec

__all__ = ["LateFusion"]

# B batch, M modalities, K numbers per row


class LateFusion(keras.layers.Layer):
    """The mean of the heads' outputs over the modalities that a row has.

    Args:
        spec: Whether the modalities' weights are learned (by default they are equal).
    """

    def __init__(self, spec: LateSpec) -> None:
        # As the heads' outputs, the mean stays float32 whatever the precision.
        super().__init__(name="fusion", dtype="float32")
        self.spec = spec

    def build(self, towers_shape: Sequence[Any], numbers_shape: Sequence[Any]) -> None:
        """Makes the weights, one per modality and alike at first, where they are learned."""
        self.weight_M: Any = None
        if self.spec.weights == "learned":
            self.weight_M = self.add_weight(shape=(len(numbers_shape),), initializer="zeros", name="weights")

    def call(self, towers: Sequence[TowerOutput], numbers: Sequence[Any]) -> Any:
        """One output per tower, and what its head made of it, float (B, K): their weighted mean float32 (B, K)."""
        numbers_BMK = keras.ops.stack(list(numbers), axis=1)
        weights_BM = keras.ops.cast(counted(present_of(towers)), "float32")
        if self.weight_M is not None:
            weights_BM = weights_BM * keras.ops.softmax(self.weight_M)[None, :]
        weights_BM = weights_BM / keras.ops.sum(weights_BM, axis=1, keepdims=True)
        return keras.ops.sum(weights_BM[:, :, None] * numbers_BMK, axis=1)
