"""A Transformer's encoder for texts, learned from nothing."""

from typing import Any

import keras

from mmdist.models.draws import depth_rates
from mmdist.models.text.tower import Positions, TextTower, drawn, sinusoids
from mmdist.models.transformer import TransformerBlock
from mmdist.spec.model import RegularizationSpec, TextTransformerSpec

__all__ = ["TextTransformerTower"]

# B batch, T tokens, D width


class TextTransformerTower(TextTower):
    """Embeddings with positions, blocks with normalization before each part, and the mean of a text's tokens.

    Args:
        spec: Depth, width, heads, kind of positions, dropout, stochastic depth and width of the dense layer.
        regularization: Penalties on the kernels, and dropout of the pooled vector.
        vocabulary: Tokens in the vocabulary; 0 is padding.
        seed: The job's seed, which the weights are drawn from.

    Ref: arXiv:1706.03762, arXiv:2002.04745 (normalization before each part).
    """

    def __init__(
        self, spec: TextTransformerSpec, *, regularization: RegularizationSpec, vocabulary: int, seed: int
    ) -> None:
        super().__init__(spec.width, spec.units, regularization=regularization, seed=seed)
        self.embedding = keras.layers.Embedding(
            vocabulary, spec.width, embeddings_initializer=drawn(seed, "tokens"), name="embedding"
        )
        self.positions = Positions(seed=seed) if spec.positions == "learned" else None
        self.blocks = [
            TransformerBlock(
                spec.width,
                spec.heads,
                regularization=regularization.model_copy(update={"dropout": spec.dropout}),
                stochastic_depth=rate,
                seed=seed,
                name=f"text/block-{number}",
            )
            for number, rate in enumerate(depth_rates(spec.stochastic_depth, spec.depth))
        ]
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")
        self.add_head()

    def features(self, text_BT: Any, token_mask_BT: Any, training: bool) -> Any:
        """Token ids int32 (B, T), and which of them count, bool (B, T): float (B, T, width)."""
        tokens_BTD = self.embedding(text_BT)
        if self.positions is not None:
            tokens_BTD = self.positions(tokens_BTD)
        else:
            # Embeddings are drawn small beside sines: both to the same size, as published.
            places_TD = sinusoids(*tokens_BTD.shape[1:])
            tokens_BTD = tokens_BTD * float(tokens_BTD.shape[2]) ** 0.5 + keras.ops.cast(places_TD, tokens_BTD.dtype)
        for block in self.blocks:
            tokens_BTD = block(tokens_BTD, token_mask_BT[:, None, :], training=training)
        return self.norm(tokens_BTD)
