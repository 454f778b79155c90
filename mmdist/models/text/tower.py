"""What the towers of Transformers for texts share: which tokens count, positions, and the head after the mean."""

from typing import Any

import keras
import numpy as np

from mmdist.models.draws import Dropout
from mmdist.models.layers import StandIn, TowerOutput, kernel_penalty
from mmdist.models.seeds import glorot, seed_for
from mmdist.spec.model import RegularizationSpec

__all__ = ["Positions", "TextTower", "drawn", "sinusoids"]

# B batch, T tokens, D width

_LONGEST_WAVE = 10_000.0


class TextTower(keras.layers.Layer):
    """A tower for texts. A member makes its layers in `__init__`, then calls `add_head`, and has `features`.

    Args:
        width: D, of a token.
        units: Width of the dense layer; None for none.
        regularization: Penalties on the kernels, and dropout of the pooled vector.
        seed: The job's seed, which the weights are drawn from.
    """

    def __init__(self, width: int, units: int | None, *, regularization: RegularizationSpec, seed: int) -> None:
        super().__init__(name="text_tower")
        self.seed = seed
        self.penalty = kernel_penalty(regularization)
        self._width, self._units = width, units
        self._dropout = regularization.dropout

    def add_head(self) -> None:
        """Adds the layers that end the tower: dense with ReLU, dropout, and the stand-in of absent texts."""
        self.dense = None
        if self._units is not None:
            self.dense = keras.layers.Dense(
                self._units,
                activation="relu",
                kernel_initializer=glorot(self.seed, "text/dense"),
                kernel_regularizer=self.penalty,
                name="dense",
            )
        self.drop = Dropout(self._dropout, seed=self.seed, name="text_dropout")
        self.stand_in = StandIn(self._units or self._width)

    def features(self, text_BT: Any, token_mask_BT: Any, training: bool) -> Any:
        """Token ids int32 (B, T), and which of them count, bool (B, T): float (B, T, D)."""
        raise NotImplementedError

    def call(self, text_BT: Any, present_B: Any, training: bool = False) -> TowerOutput:
        """Token ids int32 (B, T), 0 = padding, and present bool (B,): tokens (B, T, D), pooled (B, units or D).

        A text without a token counts as absent.
        """
        token_mask_BT = keras.ops.logical_and(keras.ops.not_equal(text_BT, 0), present_B[:, None])
        tokens_BTD = self.features(text_BT, token_mask_BT, training)
        weights_BT = keras.ops.cast(token_mask_BT, tokens_BTD.dtype)
        count_B1 = keras.ops.sum(weights_BT, axis=1, keepdims=True)
        pooled_BD = keras.ops.einsum("bt,btd->bd", weights_BT, tokens_BTD) / keras.ops.maximum(count_B1, 1.0)
        if self.dense is not None:
            pooled_BD = self.dense(pooled_BD)
        pooled_BD = self.drop(pooled_BD, training=training)
        return TowerOutput(tokens_BTD, token_mask_BT, self.stand_in(pooled_BD, count_B1[:, 0] > 0))


class Positions(keras.layers.Layer):
    """Adds to each token a vector that is learned for its place.

    Args:
        seed: The job's seed.
    """

    def __init__(self, *, seed: int) -> None:
        super().__init__(name="positions")
        self._initializer = drawn(seed, "positions")

    def build(self, tokens_shape: Any) -> None:
        """One vector for each place of the texts, whose number a batch tells."""
        self.vectors_TD = self.add_weight(shape=tokens_shape[1:], initializer=self._initializer, name="vectors")

    def call(self, tokens_BTD: Any) -> Any:
        """Tokens float (B, T, D): the same shape."""
        return tokens_BTD + keras.ops.cast(self.vectors_TD, tokens_BTD.dtype)


def sinusoids(tokens: int, width: int) -> Any:
    """A vector for each place, float32 (T, D): sines, then cosines, of wavelengths up to 10,000 times 2 pi tokens.

    Ref: arXiv:1706.03762, section 3.5.
    """
    half = -(-width // 2)
    rates = _LONGEST_WAVE ** (-np.arange(half) / half)
    angles = np.arange(tokens)[:, None] * rates[None, :]
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)[:, :width].astype(np.float32)


def drawn(seed: int, name: str) -> Any:
    """The initializer of a table of vectors, as BERT has it."""
    return keras.initializers.RandomNormal(stddev=0.02, seed=seed_for(seed, f"embedding/text/{name}"))
