"""An LSTM that says a sentence, as in Show and Tell."""

from typing import Any

import keras

from mmdist.models.decoders.shift import DECODER, tokens_before, words_alone
from mmdist.models.draws import Dropout
from mmdist.models.layers import kernel_penalty
from mmdist.models.seeds import glorot, seed_for
from mmdist.spec.model import RegularizationSpec
from mmdist.spec.task import LSTMDecoderSpec

__all__ = ["LSTMDecoder"]

# B batch, L tokens, V tokens that can be said, D width


class LSTMDecoder(keras.layers.Layer):
    """An LSTM whose first input is the memory's one vector, and whose next ones are the words so far.

    Args:
        spec: Width of a word's vector (default 128), and units (256).
        regularization: Penalties on the dense kernels, and dropout.
        classes: V; the last one begins and ends a sentence.
        seed: The job's seed.

    Ref: arXiv:1411.4555 (Show and Tell), doi:10.1162/neco.1997.9.8.1735 (LSTM).
    """

    def __init__(self, spec: LSTMDecoderSpec, *, regularization: RegularizationSpec, classes: int, seed: int) -> None:
        super().__init__(name=DECODER)
        penalty = kernel_penalty(regularization)
        self._begin = classes - 1
        self.first = keras.layers.Dense(
            spec.embedding, kernel_initializer=glorot(seed, "decoder/first"), kernel_regularizer=penalty, name="first"
        )
        self.embedding = keras.layers.Embedding(
            classes,
            spec.embedding,
            embeddings_initializer=keras.initializers.RandomUniform(seed=seed_for(seed, "embedding/decoder/words")),
            name="embedding",
        )
        self.drop_in, self.drop_out = (
            Dropout(regularization.dropout, seed=seed, name=f"decoder_dropout_{part}") for part in ("in", "out")
        )
        self.lstm = keras.layers.LSTM(
            spec.units,
            return_sequences=True,
            kernel_initializer=glorot(seed, "decoder/lstm"),
            recurrent_initializer=keras.initializers.Orthogonal(seed=seed_for(seed, "recurrent/decoder/lstm")),
            seed=seed_for(seed, "lstm/decoder"),
            name="lstm",
        )
        # Logits stay float32 whatever the precision: a softmax over half floats loses words.
        self.out = keras.layers.Dense(
            classes,
            kernel_initializer=glorot(seed, "decoder/out"),
            kernel_regularizer=penalty,
            dtype="float32",
            name="out",
        )

    def call(self, label_BL: Any, memory_BSD: Any, memory_mask_BS: Any, training: bool = False) -> Any:
        """Sentences int32 (B, L) and memory float (B, 1, D): logits float32 (B, L, V). The mask is not looked at."""
        words_BLD = self.embedding(tokens_before(label_BL, self._begin))
        # The vector comes first, so that every output but the first one follows a token.
        read_BTD = keras.ops.concatenate([keras.ops.cast(self.first(memory_BSD), words_BLD.dtype), words_BLD], axis=1)
        states_BTD = self.lstm(self.drop_in(read_BTD, training=training))
        return words_alone(self.out(self.drop_out(states_BTD[:, 1:], training=training)))
