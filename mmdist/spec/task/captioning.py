"""A sentence about each picture."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from mmdist.spec.base import Spec, default_type
from mmdist.spec.task.base import Mode, TaskBase

__all__ = ["CaptioningSpec", "DecoderSpec", "LSTMDecoderSpec", "TransformerDecoderSpec"]


class TransformerDecoderSpec(Spec):
    """A Transformer that looks back at the words and at all places of the picture (arXiv:1706.03762)."""

    type: Literal["transformer"] = "transformer"
    width: PositiveInt = 128
    """Width of every token; a multiple of `heads`."""
    heads: PositiveInt = 4
    """Attention heads."""
    blocks: PositiveInt = 2
    """Blocks of attention to the words, attention to the picture, and two dense layers."""


class LSTMDecoderSpec(Spec):
    """An LSTM that is shown the fused vector as its first word (Show and Tell, arXiv:1411.4555)."""

    type: Literal["lstm"] = "lstm"
    embedding: PositiveInt = 128
    """Width of a word's vector."""
    units: PositiveInt = 256
    """Units of the LSTM."""


DecoderSpec = Annotated[
    TransformerDecoderSpec | LSTMDecoderSpec, Field(discriminator="type"), default_type("transformer")
]


class CaptioningSpec(TaskBase):
    """A sentence about each picture, word by word: the label's column holds the sentences to learn."""

    metrics: ClassVar[Mapping[str, Mode]] = {"token_accuracy": "max"}
    has_head: ClassVar[bool] = False

    type: Literal["captioning"] = "captioning"
    decoder: DecoderSpec = TransformerDecoderSpec()
    """What makes words of what the towers have found."""
    tokens: Annotated[int, Field(ge=2)] = 20
    """Most tokens of a sentence, words, punctuation marks and the end; the rest of a longer one is not learned."""
    vocabulary: Annotated[int, Field(ge=3)] = 10_000
    """Most tokens in the vocabulary, the padding and unknown tokens among them; rarer words are passed over."""
    lowercase: bool = True
    """Whether upper and lower case are one, in learning, saying and judging."""
    beams: PositiveInt = 3
    """Sentences that are kept while one is searched for; 1 always takes the most probable next word."""
    length_penalty: NonNegativeFloat = 0.6
    """How much longer sentences are helped (arXiv:1609.08144): their log-probability is divided by their length,
    counted as `(5 + tokens) / 6`, to this power."""
