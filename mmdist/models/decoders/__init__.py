"""Decoders, which say a sentence token by token: the one place that turns a spec into a decoder."""

from typing import Any, assert_never

from mmdist.models.decoders.beam import beam_search
from mmdist.models.decoders.lstm import LSTMDecoder
from mmdist.models.decoders.memory import CaptionMemory
from mmdist.models.decoders.shift import DECODER, UNSAID
from mmdist.models.decoders.transformer import TransformerDecoder
from mmdist.spec.model import RegularizationSpec
from mmdist.spec.task import DecoderSpec, LSTMDecoderSpec, TransformerDecoderSpec

__all__ = ["DECODER", "UNSAID", "CaptionMemory", "LSTMDecoder", "TransformerDecoder", "beam_search", "build_decoder"]


def build_decoder(
    spec: DecoderSpec, *, regularization: RegularizationSpec, tokens: int, classes: int, seed: int
) -> Any:
    """The decoder that the spec's `type` names.

    It is a Keras layer: `call(label_BL, memory_BSD, memory_mask_BS, training=False) -> logits float32 (B, L, V)`,
    where the logits at a place depend on the memory and on the tokens before that place alone, and
    are far below all others for what is never said: padding and the unknown word.

    Args:
        spec: Chooses the decoder.
        regularization: Penalties on the kernels, and dropout.
        tokens: L, places of a sentence.
        classes: V, tokens that can be said; the last one is the end, which also begins a sentence.
        seed: The job's seed.
    """
    match spec:
        case TransformerDecoderSpec():
            return TransformerDecoder(spec, regularization=regularization, tokens=tokens, classes=classes, seed=seed)
        case LSTMDecoderSpec():
            return LSTMDecoder(spec, regularization=regularization, classes=classes, seed=seed)
        case _:
            assert_never(spec)
