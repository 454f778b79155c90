"""How texts are prepared: their tokenizer, chosen by its type, and its vocabulary."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from mmdist.spec.augment import TextAugmentSpec
from mmdist.spec.base import Spec, default_type

__all__ = [
    "FileTokenizerSpec",
    "NgramsTokenizerSpec",
    "SubwordTokenizerSpec",
    "TextSpec",
    "TokenizerSpec",
    "WordTokenizerSpec",
]


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


class SubwordTokenizerSpec(Spec):
    """Parts of words, learned by byte-pair encoding (arXiv:1508.07909): frequent words whole, rare ones in pieces."""

    type: Literal["subword"] = "subword"
    lowercase: bool = True
    """Whether upper and lower case are one."""
    min_count: PositiveInt = 2
    """Times that two parts must occur side by side in the training split to become one."""


class FileTokenizerSpec(Spec):
    """A tokenizer that was published with pretrained weights, as the `tokenizer.json` of the tokenizers library.

    Nothing is learned, and `data.text.vocabulary` does not count. The run keeps the tokenizer.
    """

    type: Literal["file"] = "file"
    path: str
    """The file: a path, a URL, or `package:NAME/PATH` inside an installed Python package."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """SHA-256 that the file must have, in hexadecimal; asked for where there are several workers."""


TokenizerSpec = Annotated[
    WordTokenizerSpec | NgramsTokenizerSpec | SubwordTokenizerSpec | FileTokenizerSpec,
    Field(discriminator="type"),
    default_type("word"),
]


class TextSpec(Spec):
    """How texts are prepared."""

    tokens: PositiveInt = 100
    """Tokens per text: a longer text is cut, a shorter one padded."""
    vocabulary: Annotated[int, Field(ge=3)] = 10_000
    """Most tokens in the vocabulary that is learned, the padding and unknown tokens among them."""
    tokenizer: TokenizerSpec = WordTokenizerSpec()
    """How a text is cut into tokens. The vocabulary is learned from the training split, or comes from a file."""
    augment: tuple[TextAugmentSpec, ...] = ()
    """Random changes of the training texts, applied in this order."""
