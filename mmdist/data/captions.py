"""Sentences as numbers to learn, and numbers as sentences to read."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tokenizers

from mmdist.data.labels import is_blank
from mmdist.data.tokenizer import PADDING, UNKNOWN
from mmdist.data.tokenizer.library import PADDING_TOKEN, UNKNOWN_TOKEN
from mmdist.data.tokenizer.word import WordTokenizer, word_cutter
from mmdist.data.values import text_values

__all__ = ["FIRST_WORD", "CaptionEncoder", "cut_words", "join_words"]

FIRST_WORD = max(PADDING, UNKNOWN) + 1
"""Number of the first word of the vocabulary."""

_CLOSING = frozenset(".,:;!?)]}%\u2026\u201d")
_OPENING = frozenset("([{#$\u201c")
_JOINING = frozenset("'\u2019-/_\u2013")


@dataclass(frozen=True)
class CaptionEncoder:
    """Numbers the tokens of sentences: int32 (n, T), 0 for padding, 1 for unknown, then the words, and the end.

    Args:
        words: The vocabulary, by number from `FIRST_WORD` on.
        tokens: T. A sentence of fewer tokens is followed by the end; of a longer one the beginning is kept.
        lowercase: Whether upper and lower case are one.
    """

    words: tuple[str, ...]
    tokens: int
    lowercase: bool
    kind: Literal["text"] = "text"

    @property
    def end(self) -> int:
        """The number that ends a sentence; it also stands before the first word."""
        return FIRST_WORD + len(self.words)

    def encode(self, column: "pa.ChunkedArray[Any]") -> tuple[npt.NDArray[Any], dict[int, str]]:
        """See `Target`. A null or blank text makes a bad row."""
        texts, reasons = text_values(column)
        numbers = self._tokenizer.encode([text or "" for text in texts])
        counts = np.count_nonzero(numbers, axis=1)
        for row in np.flatnonzero(counts == 0).tolist():
            missing = is_blank(texts[row])
            reasons.setdefault(row, "no caption (null or blank)" if missing else "no caption (not a word)")
        ended = np.flatnonzero((counts > 0) & (counts < self.tokens))
        numbers[ended, counts[ended]] = self.end
        return numbers, reasons

    def hashes_of(self, encoded: npt.NDArray[Any]) -> None:
        """See `Target`: texts of the same words may be written in several ways."""
        return

    def words_of(self, numbers: npt.NDArray[np.integer[Any]]) -> list[str]:
        """The words before the end, of tokens (T,)."""
        inside = range(FIRST_WORD, self.end)
        stop = np.flatnonzero((numbers == self.end) | (numbers == PADDING))
        said = numbers[: stop[0]] if len(stop) else numbers
        return [self.words[number - FIRST_WORD] if number in inside else UNKNOWN_TOKEN for number in said.tolist()]

    @cached_property
    def _tokenizer(self) -> WordTokenizer:
        inner = word_cutter(lowercase=self.lowercase)
        known = {token: number for number, token in enumerate((PADDING_TOKEN, UNKNOWN_TOKEN, *self.words))}
        inner.model = tokenizers.models.WordLevel(known, unk_token=UNKNOWN_TOKEN)
        inner.add_special_tokens([PADDING_TOKEN, UNKNOWN_TOKEN])
        inner.enable_truncation(self.tokens)
        return WordTokenizer(inner)


def cut_words(texts: Sequence[str], *, lowercase: bool) -> list[list[str]]:
    """Texts as words and punctuation marks, all of them, in the way in which they are learned."""
    cutter = word_cutter(lowercase=lowercase)
    cut = cutter.pre_tokenizer.pre_tokenize_str
    return [[word for word, _ in cut(cutter.normalizer.normalize_str(text))] for text in texts]


def join_words(words: Sequence[str]) -> str:
    """Words and punctuation marks as one writes them."""
    text, is_open = "", True
    for word in words:
        joins = word[0] in _JOINING
        text += word if is_open or joins or word[0] in _CLOSING else f" {word}"
        is_open = joins or word[-1] in _OPENING
    return text
