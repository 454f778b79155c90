"""How texts are prepared: their tokenizer, chosen by its type, and its vocabulary."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from mmdist.spec.base import Spec, default_type

__all__ = ["NgramsTokenizerSpec", "TextSpec", "TokenizerSpec", "WordTokenizerSpec"]


class WordTokenizerSpec(Spec):
    """Words and punctuation marks, by Unicode's rules. Unknown words share one token."""

    type: Literal["word"] = "word"
    lowercase: bool = True
    """Whether upper and lower case are one."""


class NgramsTokenizerSpec(Spec):
    """Words and the character n-grams of each word (arXiv:1607.04606), so that an unknown word is read by its parts.

    A text takes many tokens, about 15 for a word of 6 letters: give `data.text.tokens` accordingly.
    """

    type: Literal["ngrams"] = "ngrams"
    lowercase: bool = True
    """Whether upper and lower case are one."""
    lengths: tuple[PositiveInt, PositiveInt] = (3, 5)
    """Shortest and longest n-gram, in characters; a word's beginning and its end count as one character each."""
    min_count: PositiveInt = 2
    """Times that an n-gram must occur in the training split to be a token. Words are tokens while there is room."""


TokenizerSpec = Annotated[WordTokenizerSpec | NgramsTokenizerSpec, Field(discriminator="type"), default_type("word")]


class TextSpec(Spec):
    """How texts are prepared."""

    tokens: PositiveInt = 100
    """Tokens per text: a longer text is cut, a shorter one padded."""
    vocabulary: Annotated[int, Field(ge=3)] = 10_000
    """Most tokens in the vocabulary, the padding and unknown tokens among them."""
    tokenizer: TokenizerSpec = WordTokenizerSpec()
    """How a text is cut into tokens. The vocabulary is learned from the training split."""
