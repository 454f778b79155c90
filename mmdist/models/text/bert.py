"""Encoders as BERT has them, which can start from published weights."""

from collections.abc import Iterator
from typing import Any

import keras

from mmdist.models.draws import Dropout
from mmdist.models.pretrained import check_layout, fetch_weights, load_named, open_arrays
from mmdist.models.text.tower import Positions, TextTower, drawn
from mmdist.models.transformer import TransformerBlock
from mmdist.spec.model import BERTSpec, RegularizationSpec

__all__ = ["BERTTower"]

# B batch, T tokens, D width

_EPSILON = 1e-12


class BERTTower(TextTower):
    """Embeddings of tokens and places, blocks with normalization after each part, and the mean of a text's tokens.

    A text is one segment, whose vector every token gets. What was published for places beyond the job's
    `data.text.tokens`, and for a second segment, is left out.

    Args:
        spec: Sizes, dropout, and where pretrained weights lie.
        regularization: Penalties on the kernels, and dropout of the pooled vector.
        vocabulary: Tokens in the vocabulary; 0 is padding.
        seed: The job's seed, which the weights are drawn from.

    Attributes:
        is_frozen: Whether the encoder runs as in prediction, also in training; it is read while tracing.

    Ref: arXiv:1810.04805 (BERT), arXiv:2002.10957 (MiniLM), arXiv:1908.10084 (the mean for the whole text).
    """

    def __init__(self, spec: BERTSpec, *, regularization: RegularizationSpec, vocabulary: int, seed: int) -> None:
        super().__init__(spec.width, spec.units, regularization=regularization, seed=seed)
        self.spec = spec
        self.is_frozen = False
        self.embedding = keras.layers.Embedding(
            vocabulary, spec.width, embeddings_initializer=drawn(seed, "tokens"), name="embedding"
        )
        self.positions = Positions(seed=seed)
        self.segment_1D = self.add_weight(shape=(1, spec.width), initializer=drawn(seed, "segment"), name="segment")
        self.norm = keras.layers.LayerNormalization(epsilon=_EPSILON, name="norm")
        self.embedding_drop = Dropout(spec.dropout, seed=seed, name="text_embedding_dropout")
        self.blocks = [
            TransformerBlock(
                spec.width,
                spec.heads,
                regularization=regularization.model_copy(update={"dropout": spec.dropout}),
                expansion=spec.expansion,
                normalizes="after",
                epsilon=_EPSILON,
                seed=seed,
                name=f"text/block-{number}",
            )
            for number in range(spec.depth)
        ]
        self.add_head()

    @property
    def stages(self) -> list[list[Any]]:
        """The encoder's weights: the embeddings, then block by block."""
        first = (self.embedding, self.positions, self.norm)
        return [
            [self.segment_1D, *(weight for layer in first for weight in layer.trainable_weights)],
            *([*block.trainable_weights] for block in self.blocks),
        ]

    def load_pretrained(self) -> str | None:
        """Puts the pretrained weights into the encoder, and returns their file's SHA-256; None where there are none.

        Raises:
            DataRefusedError: where the file is not there, has another hash, or is of another network.
            ResourceError: where it cannot be fetched.
        """
        if self.spec.weights is None:
            return None
        check_layout(self.spec, tokens=self.positions.vectors_TD.shape[0])
        data, sha256 = fetch_weights(self.spec.weights, self.spec.sha256)
        load_named(dict(self._published()), open_arrays(data, self.spec.weights))
        return sha256

    def features(self, text_BT: Any, token_mask_BT: Any, training: bool) -> Any:
        """Token ids int32 (B, T), and which of them count, bool (B, T): float (B, T, width)."""
        training = training and not self.is_frozen
        tokens_BTD = self.positions(self.embedding(text_BT))
        tokens_BTD = self.norm(tokens_BTD + keras.ops.cast(self.segment_1D, tokens_BTD.dtype))
        tokens_BTD = self.embedding_drop(tokens_BTD, training=training)
        for block in self.blocks:
            tokens_BTD = block(tokens_BTD, token_mask_BT[:, None, :], training=training)
        return tokens_BTD

    def _published(self) -> Iterator[tuple[str, Any]]:
        """The name that each weight is published by, and the weight."""
        yield "embeddings/word_embeddings/weight", self.embedding.embeddings
        yield "embeddings/position_embeddings/weight", self.positions.vectors_TD
        yield "embeddings/token_type_embeddings/weight", self.segment_1D
        yield from _norm("embeddings/LayerNorm", self.norm)
        for number, block in enumerate(self.blocks):
            layer = f"encoder/layer/{number}"
            for name in ("query", "key", "value"):
                yield from _dense(f"{layer}/attention/self/{name}", getattr(block.attention, name))
            yield from _dense(f"{layer}/attention/output/dense", block.attention.out)
            yield from _norm(f"{layer}/attention/output/LayerNorm", block.attention_norm)
            yield from _dense(f"{layer}/intermediate/dense", block.hidden)
            yield from _dense(f"{layer}/output/dense", block.out)
            yield from _norm(f"{layer}/output/LayerNorm", block.hidden_norm)


def _dense(name: str, layer: Any) -> Iterator[tuple[str, Any]]:
    yield f"{name}/weight", layer.kernel
    yield f"{name}/bias", layer.bias


def _norm(name: str, layer: Any) -> Iterator[tuple[str, Any]]:
    yield f"{name}/weight", layer.gamma
    yield f"{name}/bias", layer.beta
