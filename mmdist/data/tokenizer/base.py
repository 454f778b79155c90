"""What every tokenizer is: texts in, an array of token numbers out, and the bytes that a model keeps of it."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from mmdist.errors import DataRefusedError

__all__ = ["PADDING", "UNKNOWN", "Tokenizer", "in_batches", "most_characters", "not_a_tokenizer"]

PADDING = 0
UNKNOWN = 1
_LEARN_BATCH_ROWS = 1000
_MIN_CHARACTERS = 4096
_CHARACTERS_PER_TOKEN = 64

# The reading threads share the cores already; the library's own threads would only compete with the decoder.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


class Tokenizer(ABC):
    """Cuts texts into tokens and numbers them; 0 is padding. The same texts always get the same numbers."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        """Tokens per text, T: a longer text is cut, a shorter one padded."""
        self.max_characters = most_characters(tokens)
        """Characters of a text that are looked at; the rest of a longer text is cut before it is tokenised."""

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """Token numbers of texts: int32 (B, T), padded with 0 on the right. Fastest for hundreds of texts at a time.

        A text without a token (empty or blank) is padding from its first place on.
        """

    @abstractmethod
    def to_bytes(self) -> bytes:
        """JSON that `read_tokenizer` reads; the same tokenizer always gives the same bytes."""

    @property
    @abstractmethod
    def vocabulary(self) -> list[str]:
        """The tokens by their numbers."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Tokens in the vocabulary, the padding and unknown tokens among them."""

    @property
    def starts_word(self) -> npt.NDArray[np.bool_]:
        """bool (size,), whether a token begins a word, rather than going on with the one before it; as it stands, all.

        A word that is not known may begin with none.
        """
        return np.ones(self.size, np.bool_)

    @property
    def sha256(self) -> str:
        """SHA-256 of `to_bytes`, in hexadecimal."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @property
    def masked(self) -> int:
        """The number that a masked word is shown by."""
        return UNKNOWN

    @property
    def frames(self) -> npt.NDArray[np.bool_]:
        """bool (size,), whether a token frames every text, rather than standing for something in it; as it is, none."""
        return np.zeros(self.size, np.bool_)

    def count(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Tokens of each text, at most T: int64 (B,)."""
        counts: npt.NDArray[np.int64] = np.count_nonzero(self.encode(texts), axis=1).astype(np.int64)
        return counts


def most_characters(tokens: int) -> int:
    """Characters of a text that are looked at for so many tokens."""
    return max(_MIN_CHARACTERS, _CHARACTERS_PER_TOKEN * tokens)


def in_batches(texts: Iterable[str], max_characters: int) -> Iterator[list[str]]:
    """Texts, each cut to so many characters, a thousand at a time."""
    batch: list[str] = []
    for text in texts:
        batch.append(text[:max_characters])
        if len(batch) == _LEARN_BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def not_a_tokenizer(received: str) -> DataRefusedError:
    """The error for bytes that hold no tokenizer of ours."""
    return DataRefusedError(
        "the tokenizer of the model cannot be read",
        expected="a tokenizer.json that mmdist wrote",
        received=received,
        remedy="restore the model's folder from its run, or train again",
    )
