"""A bidirectional LSTM for texts."""

from typing import Any

import keras

from mmdist.models.draws import Dropout
from mmdist.models.layers import StandIn, TowerOutput, kernel_penalty
from mmdist.models.seeds import glorot, seed_for
from mmdist.spec.model import BiLSTMSpec, RegularizationSpec

__all__ = ["BiLSTMTower"]

# B batch, T tokens, D width


class BiLSTMTower(keras.layers.Layer):
    """An embedding, a bidirectional LSTM whose two last states are joined, and a dense layer with ReLU.

    Args:
        spec: Width of the embedding (default 128), units per direction (64) and of the dense layer (64).
        regularization: Penalties on the dense kernel, and dropout of the pooled vector.
        vocabulary: Tokens in the vocabulary; 0 is padding.
        seed: The job's seed, which the weights are drawn from.

    Ref: doi:10.1162/neco.1997.9.8.1735 (LSTM), doi:10.1109/78.650093 (bidirectional).
    """

    def __init__(self, spec: BiLSTMSpec, *, regularization: RegularizationSpec, vocabulary: int, seed: int) -> None:
        super().__init__(name="text_tower")
        self.embedding = keras.layers.Embedding(
            vocabulary,
            spec.embedding,
            embeddings_initializer=keras.initializers.RandomUniform(seed=seed_for(seed, "kernel/text/embedding")),
            name="embedding",
        )
        self.forward_lstm = _lstm(spec, seed, "forward")
        self.backward_lstm = _lstm(spec, seed, "backward")
        self.dense = keras.layers.Dense(
            spec.units,
            activation="relu",
            kernel_initializer=glorot(seed, "text/dense"),
            kernel_regularizer=kernel_penalty(regularization),
            name="dense",
        )
        self.drop = Dropout(regularization.dropout, seed=seed, name="text_dropout")
        self.stand_in = StandIn(spec.units)

    def call(self, text_BT: Any, present_B: Any, training: bool = False) -> TowerOutput:
        """Token ids int32 (B, T), 0 = padding, and present bool (B,): tokens (B, T, 2 * lstm_units), pooled (B, units).

        A text without a token counts as absent.
        """
        token_mask_BT = keras.ops.logical_and(keras.ops.not_equal(text_BT, 0), present_B[:, None])
        present_B = keras.ops.any(token_mask_BT, axis=1)
        # cuDNN refuses a text without a token; the first place of such a text is read, and then left out.
        first_T = keras.ops.equal(keras.ops.arange(text_BT.shape[1]), 0)
        read_mask_BT = keras.ops.logical_or(token_mask_BT, first_T[None, :])
        embedded_BTD = self.embedding(text_BT)
        forward_BTD, forward_BD, _ = self.forward_lstm(embedded_BTD, mask=read_mask_BT)
        backward_BTD, backward_BD, _ = self.backward_lstm(embedded_BTD, mask=read_mask_BT)
        tokens_BTD = keras.ops.concatenate([forward_BTD, keras.ops.flip(backward_BTD, axis=1)], axis=-1)
        states_BD = keras.ops.concatenate([forward_BD, backward_BD], axis=-1)
        pooled_BD = self.drop(self.dense(states_BD), training=training)
        return TowerOutput(tokens_BTD, token_mask_BT, self.stand_in(pooled_BD, present_B))


def _lstm(spec: BiLSTMSpec, seed: int, direction: str) -> Any:
    return keras.layers.LSTM(
        spec.lstm_units,
        return_sequences=True,
        return_state=True,
        go_backwards=direction == "backward",
        kernel_initializer=glorot(seed, f"text/lstm-{direction}"),
        recurrent_initializer=keras.initializers.Orthogonal(seed=seed_for(seed, f"recurrent/text/lstm-{direction}")),
        seed=seed_for(seed, f"lstm/{direction}"),
        name=f"{direction}_lstm",
    )
