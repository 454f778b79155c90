"""A Transformer's blocks, for every tower and fusion that has some: masked attention and a two-layer network.

Ref: arXiv:1706.03762 (Transformer), arXiv:2002.04745 (normalization before each part, or after it).
"""

from typing import Any, Literal

import keras

from mmdist.models.draws import Dropout, StochasticDepth
from mmdist.models.layers import kernel_penalty
from mmdist.models.seeds import glorot
from mmdist.spec.model import RegularizationSpec

__all__ = ["Attention", "TransformerBlock"]

# B batch, T tokens that ask, S tokens that are looked at, D width, N heads, H width of a head

_FAR_BELOW = -1e9
"""A score that weighs nothing beside any other; finite, so that a row without a token stays free of NaN."""


class Attention(keras.layers.Layer):
    """Attention with several heads.

    Args:
        width: D, a multiple of `heads`.
        heads: N.
        penalty: On the kernels.
        seed: The job's seed.
        name: Unique in the model: the weights are drawn from it.
    """

    def __init__(self, width: int, heads: int, *, penalty: Any = None, seed: int, name: str) -> None:
        super().__init__(name=name.rpartition("/")[2])
        self.heads = heads
        self.query, self.key, self.value, self.out = (
            keras.layers.Dense(
                width, kernel_initializer=glorot(seed, f"{name}/{part}"), kernel_regularizer=penalty, name=part
            )
            for part in ("query", "key", "value", "out")
        )

    def call(self, tokens_BTD: Any, seen_BSD: Any, mask_BTS: Any) -> Any:
        """What each token takes from those that it may see, bool (B, T or 1, S): float (B, T, D)."""
        query_BTNH, key_BSNH, value_BSNH = (
            self._split(layer(tokens))
            for layer, tokens in ((self.query, tokens_BTD), (self.key, seen_BSD), (self.value, seen_BSD))
        )
        scores_BNTS = keras.ops.einsum("btnh,bsnh->bnts", query_BTNH, key_BSNH) / float(query_BTNH.shape[-1]) ** 0.5
        # A softmax over half floats loses small weights.
        scores_BNTS = keras.ops.where(mask_BTS[:, None], keras.ops.cast(scores_BNTS, "float32"), _FAR_BELOW)
        weights_BNTS = keras.ops.cast(keras.ops.softmax(scores_BNTS, axis=-1), value_BSNH.dtype)
        mixed_BTNH = keras.ops.einsum("bnts,bsnh->btnh", weights_BNTS, value_BSNH)
        return self.out(keras.ops.reshape(mixed_BTNH, (-1, mixed_BTNH.shape[1], self.out.units)))

    def _split(self, values_BTD: Any) -> Any:
        return keras.ops.reshape(values_BTD, (-1, values_BTD.shape[1], self.heads, values_BTD.shape[2] // self.heads))


class TransformerBlock(keras.layers.Layer):
    """Attention, then a network of two layers with GELU on each token; what each says is added, and normalized.

    Args:
        width: D, a multiple of `heads`.
        heads: N.
        regularization: Penalties on the kernels, and dropout of what each part adds.
        expansion: Width of the hidden layer, in D.
        stochastic_depth: Share of the rows that leave each part out, in training.
        looks: Whether the tokens, between the two parts, also look at others that the block is called with.
        normalizes: What is normalized: what each part reads (`before`), or the sum after it (`after`), as published
            encoders do.
        epsilon: What is added to the variance in normalizing.
        seed: The job's seed.
        name: Unique in the model, such as `text/block-0`.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        regularization: RegularizationSpec,
        expansion: int = 4,
        stochastic_depth: float = 0.0,
        looks: bool = False,
        normalizes: Literal["before", "after"] = "before",
        epsilon: float = 1e-6,
        seed: int,
        name: str,
    ) -> None:
        super().__init__(name=name.rpartition("/")[2])
        penalty = kernel_penalty(regularization)
        self._is_before = normalizes == "before"
        self.attention_norm = keras.layers.LayerNormalization(epsilon=epsilon, name="attention_norm")
        self.attention = Attention(width, heads, penalty=penalty, seed=seed, name=f"{name}/attention")
        self.hidden_norm = keras.layers.LayerNormalization(epsilon=epsilon, name="hidden_norm")
        self.hidden, self.out = (
            keras.layers.Dense(
                units,
                activation=activation,
                kernel_initializer=glorot(seed, f"{name}/{part}"),
                kernel_regularizer=penalty,
                name=part,
            )
            for part, units, activation in (("hidden", expansion * width, "gelu"), ("out", width, None))
        )
        self.looking = None
        if looks:
            self.looking_norm = keras.layers.LayerNormalization(epsilon=epsilon, name="looking_norm")
            self.looking = Attention(width, heads, penalty=penalty, seed=seed, name=f"{name}/looking")
        parts = ("attention", "hidden", *(("looking",) if looks else ()))
        self.drops = [
            Dropout(regularization.dropout, seed=seed, name=f"{name.replace('/', '_')}_dropout_{part}")
            for part in parts
        ]
        self.depths = [
            StochasticDepth(stochastic_depth, seed=seed, name=f"{name.replace('/', '_')}_depth_{part}")
            for part in parts
        ]

    def call(
        self, tokens_BTD: Any, mask_BTS: Any, training: bool = False, seen_BSD: Any = None, seen_mask_BS: Any = None
    ) -> Any:
        """Tokens float (B, T, D) that may see each other by bool (B, T or 1, T): the same shape.

        A block that looks at others is called with them, float (B, S, any), and which of them count, bool (B, S).
        """
        read_BTD = self._before(self.attention_norm, tokens_BTD)
        attended_BTD = self.drops[0](self.attention(read_BTD, read_BTD, mask_BTS), training=training)
        tokens_BTD = self._after(self.attention_norm, tokens_BTD + self.depths[0](attended_BTD, training=training))
        if self.looking is not None:
            read_BTD = self._before(self.looking_norm, tokens_BTD)
            looked_BTD = self.looking(read_BTD, seen_BSD, seen_mask_BS[:, None, :])
            looked_BTD = self.drops[2](looked_BTD, training=training)
            tokens_BTD = self._after(self.looking_norm, tokens_BTD + self.depths[2](looked_BTD, training=training))
        read_BTD = self._before(self.hidden_norm, tokens_BTD)
        hidden_BTD = self.drops[1](self.out(self.hidden(read_BTD)), training=training)
        return self._after(self.hidden_norm, tokens_BTD + self.depths[1](hidden_BTD, training=training))

    def _before(self, norm: Any, tokens_BTD: Any) -> Any:
        return norm(tokens_BTD) if self._is_before else tokens_BTD

    def _after(self, norm: Any, tokens_BTD: Any) -> Any:
        return tokens_BTD if self._is_before else norm(tokens_BTD)
