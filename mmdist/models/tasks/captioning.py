"""A sentence per row: a decoder that is taught each next word, and asked for whole sentences by a beam search."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from mmdist.models.decoders import DECODER, UNSAID, CaptionMemory, beam_search, build_decoder
from mmdist.models.fusion import Fuse
from mmdist.models.layers import TowerOutput
from mmdist.models.tasks.base import Task, Tensors
from mmdist.spec.model import RegularizationSpec
from mmdist.spec.task import CaptioningSpec, TransformerDecoderSpec

__all__ = ["CaptioningTask"]

# B batch, K beams, L tokens of a sentence, V tokens that can be said, S places of the memory, D width


class CaptioningTask(Task):
    """Says a sentence about a row.

    `inputs["label"]`: int32 (B, L), the sentence's tokens and V - 1 for its end, then 0; it is an input of the model,
    which tells each token from those before it. Outputs: `logits`, float32 (B, L, V), and what the decoder looks at,
    `memory` float (B, S, D) and `memory_mask` bool (B, S). Answers: `tokens`, int32 (B, L), and `log_probability`,
    float32 (B,), of the sentence with its end. The loss of a row is the mean over its tokens but the unknown
    ones, which are never said.

    Args:
        spec: The decoder and the search.
        regularization: Penalties on the decoder's kernels, and its dropout.
        words: Words of the vocabulary.
        seed: The job's seed.
    """

    def __init__(self, spec: CaptioningSpec, *, regularization: RegularizationSpec, words: int, seed: int) -> None:
        self.metrics = tuple(spec.metrics)
        self._spec = spec
        self._regularization = regularization
        self._classes = UNSAID + words + 1
        self._seed = seed

    def label_input(self) -> Any:
        """The sentences that the model is taught with."""
        return keras.Input((self._spec.tokens,), dtype="int32", name="label")

    def connect(self, inputs: Tensors, towers: Mapping[str, TowerOutput], fuse: Fuse) -> dict[str, Any]:
        """The decoder, on all that the towers have found, or for an LSTM on the fused vector."""
        if isinstance(self._spec.decoder, TransformerDecoderSpec):
            memory_BSD, mask_BS = CaptionMemory(self._spec.decoder.width, seed=self._seed)(list(towers.values()))
        else:
            memory_BSD = fuse(towers)[:, None, :]
            mask_BS = keras.ops.ones_like(memory_BSD[:, :, 0], dtype="bool")
        decoder = build_decoder(
            self._spec.decoder,
            regularization=self._regularization,
            tokens=self._spec.tokens,
            classes=self._classes,
            seed=self._seed,
        )
        logits_BLV = decoder(inputs["label"], memory_BSD, mask_BS)
        return {"logits": logits_BLV, "memory": memory_BSD, "memory_mask": mask_BS}

    def row_losses(self, outputs: Tensors, inputs: Tensors) -> Any:
        """Cross-entropy, the mean over the known tokens of the sentence and its end."""
        losses_BL = keras.losses.sparse_categorical_crossentropy(inputs["label"], outputs["logits"], from_logits=True)
        return _mean_over_tokens(losses_BL, inputs["label"])

    def row_metrics(self, outputs: Tensors, inputs: Tensors) -> tuple[Any, ...]:
        """Share of the known tokens that are the most likely ones after those before them."""
        said_BL = keras.ops.cast(keras.ops.argmax(outputs["logits"], axis=-1), "int32")
        right_BL = keras.ops.equal(said_BL, keras.ops.cast(inputs["label"], "int32"))
        return (_mean_over_tokens(keras.ops.cast(right_BL, "float32"), inputs["label"]),)

    def predict(self, model: Any, inputs: Tensors) -> dict[str, Any]:
        """Beam search, with the towers run once."""
        spec, some = self._spec, next(iter(inputs.values()))
        unsaid_BL = tf.zeros([tf.shape(some)[0], spec.tokens], tf.int32)
        outputs = model({**inputs, "label": unsaid_BL}, training=False)
        decoder = model.get_layer(DECODER)
        memory, mask = (tf.repeat(outputs[name], spec.beams, axis=0) for name in ("memory", "memory_mask"))

        def logits_at(place: Any, sentences: Any) -> Any:
            return decoder(sentences, memory, mask, training=False)[:, place]

        tokens_BL, log_probability_B = beam_search(
            logits_at,
            rows=tf.shape(some)[0],
            tokens=spec.tokens,
            classes=self._classes,
            beams=spec.beams,
            length_penalty=spec.length_penalty,
        )
        return {"tokens": tokens_BL, "log_probability": log_probability_B}


def _mean_over_tokens(values_BL: Any, label_BL: Any) -> Any:
    """The mean over the places with a token that can be said, (B,); 0 where there is none."""
    counts_BL = keras.ops.cast(keras.ops.greater_equal(label_BL, UNSAID), "float32")
    return keras.ops.sum(values_BL * counts_BL, axis=-1) / keras.ops.maximum(keras.ops.sum(counts_BL, axis=-1), 1.0)
