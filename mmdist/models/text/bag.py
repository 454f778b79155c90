"""A bag of tokens for texts: their embeddings added up, whatever their order."""

from typing import Any

import keras

from mmdist.models.draws import Dropout
from mmdist.models.layers import StandIn, TowerOutput, kernel_penalty
from mmdist.models.seeds import glorot, seed_for
from mmdist.spec.model import BagSpec, RegularizationSpec

__all__ = ["BagTower"]

# B batch, T tokens, D width


class BagTower(keras.layers.Layer):
    """The sum of the tokens' embeddings over the root of their number; then, if asked for, a dense layer with ReLU.

    The root keeps the size of the sum alike for short and long texts of unrelated tokens; a mean would make long
    texts small.

    Args:
        spec: Width of the embedding and of the dense layer.
        regularization: Penalties on the dense kernel, and dropout of the pooled vector.
        vocabulary: Tokens in the vocabulary; 0 is padding.
        seed: The job's seed, which the weights are drawn from.

    Ref: arXiv:1607.01759 (the bag), arXiv:1607.04606 (with n-grams as tokens).
    """

    def __init__(self, spec: BagSpec, *, regularization: RegularizationSpec, vocabulary: int, seed: int) -> None:
        super().__init__(name="text_tower")
        self.embedding = keras.layers.Embedding(
            vocabulary,
            spec.embedding,
            embeddings_initializer=keras.initializers.RandomUniform(seed=seed_for(seed, "kernel/text/embedding")),
            name="embedding",
        )
        self.dense = None
        if spec.units is not None:
            self.dense = keras.layers.Dense(
                spec.units,
                activation="relu",
                kernel_initializer=glorot(seed, "text/dense"),
                kernel_regularizer=kernel_penalty(regularization),
                name="dense",
            )
        self.drop = Dropout(regularization.dropout, seed=seed, name="text_dropout")
        self.stand_in = StandIn(spec.units or spec.embedding)

    def call(self, text_BT: Any, present_B: Any, training: bool = False) -> TowerOutput:
        """Token ids int32 (B, T), 0 = padding, and present bool (B,): tokens (B, T, embedding), pooled (B, D').

        D' is `units`, or `embedding` where there is no dense layer. A text without a token counts as absent.
        """
        token_mask_BT = keras.ops.logical_and(keras.ops.not_equal(text_BT, 0), present_B[:, None])
        tokens_BTD = self.embedding(text_BT)
        weights_BT = keras.ops.cast(token_mask_BT, tokens_BTD.dtype)
        count_B1 = keras.ops.sum(weights_BT, axis=1, keepdims=True)
        pooled_BD = keras.ops.einsum("bt,btd->bd", weights_BT, tokens_BTD)
        pooled_BD = pooled_BD / keras.ops.sqrt(keras.ops.maximum(count_B1, 1.0))
        if self.dense is not None:
            pooled_BD = self.dense(pooled_BD)
        pooled_BD = self.drop(pooled_BD, training=training)
        return TowerOutput(tokens_BTD, token_mask_BT, self.stand_in(pooled_BD, count_B1[:, 0] > 0))
