"""A Transformer that says a sentence."""

from typing import Any

import keras

from mmdist.models.decoders.shift import DECODER, tokens_before, words_alone
from mmdist.models.draws import Dropout
from mmdist.models.layers import kernel_penalty
from mmdist.models.seeds import glorot, seed_for
from mmdist.models.transformer import TransformerBlock
from mmdist.spec.model import RegularizationSpec
from mmdist.spec.task import TransformerDecoderSpec

__all__ = ["TransformerDecoder"]

# B batch, L tokens, V tokens that can be said, S places of the memory, D width


class TransformerDecoder(keras.layers.Layer):
    """Blocks in which each token looks at those before it and at the memory.

    Args:
        spec: Width (default 128), heads (4) and blocks (2).
        regularization: Penalties on the kernels, and dropout.
        tokens: L.
        classes: V; the last one begins and ends a sentence.
        seed: The job's seed.

    Ref: arXiv:1706.03762.
    """

    def __init__(
        self,
        spec: TransformerDecoderSpec,
        *,
        regularization: RegularizationSpec,
        tokens: int,
        classes: int,
        seed: int,
    ) -> None:
        super().__init__(name=DECODER)
        self._begin = classes - 1
        self.embedding = keras.layers.Embedding(
            classes, spec.width, embeddings_initializer=_drawn(seed, "words"), name="embedding"
        )
        self.places_LD = self.add_weight(shape=(tokens, spec.width), initializer=_drawn(seed, "places"), name="places")
        self.drop = Dropout(regularization.dropout, seed=seed, name="decoder_dropout")
        self.blocks = [
            TransformerBlock(
                spec.width,
                spec.heads,
                regularization=regularization,
                looks=True,
                seed=seed,
                name=f"decoder/block-{number}",
            )
            for number in range(spec.blocks)
        ]
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")
        # Logits stay float32 whatever the precision: a softmax over half floats loses words.
        self.out = keras.layers.Dense(
            classes,
            kernel_initializer=glorot(seed, "decoder/out"),
            kernel_regularizer=kernel_penalty(regularization),
            dtype="float32",
            name="out",
        )

    def call(self, label_BL: Any, memory_BSD: Any, memory_mask_BS: Any, training: bool = False) -> Any:
        """Sentences int32 (B, L), memory float (B, S, D) and bool (B, S): logits float32 (B, L, V)."""
        tokens_BLD = self.embedding(tokens_before(label_BL, self._begin))
        tokens_BLD = self.drop(tokens_BLD + keras.ops.cast(self.places_LD, tokens_BLD.dtype), training=training)
        places_L = keras.ops.arange(label_BL.shape[1])
        past_1LL = (places_L[None, :] <= places_L[:, None])[None]
        for block in self.blocks:
            tokens_BLD = block(
                tokens_BLD, past_1LL, training=training, seen_BSD=memory_BSD, seen_mask_BS=memory_mask_BS
            )
        return words_alone(self.out(self.norm(tokens_BLD)))


def _drawn(seed: int, name: str) -> Any:
    return keras.initializers.RandomNormal(stddev=0.02, seed=seed_for(seed, f"embedding/decoder/{name}"))
