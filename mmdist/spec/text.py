"""How texts are prepared: their tokenizer, chosen by its type, and its vocabulary."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from mmdist.spec.base import Spec

__all__ = ["TextSpec", "TokenizerSpec", "WordTokenizerSpec"]


class WordTokenizerSpec(Spec):
    """Words and punctuation marks, by Unicode's rules. Unknown words share one token."""

    type: Literal["word"] = "word"
    lowercase: bool = True
    """Whether upper and lower case are one."""


TokenizerSpec = WordTokenizerSpec


class TextSpec(Spec):
    """How texts are prepared."""

    tokens: PositiveInt = 100
    """Tokens per text: a longer text is cut, a shorter one padded."""
    vocabulary: Annotated[int, Field(ge=3)] = 10_000
    """Most tokens in the vocabulary, the padding and unknown tokens among them."""
    tokenizer: TokenizerSpec = WordTokenizerSpec()
    """How a text is cut into tokens. The vocabulary is learned from the training split."""
