"""Words and the character n-grams of each word, all tokens: a word that training never saw still says something.

A word counts as `<word>`, its n-grams are those of that spelling, so that `<un` is a beginning and `ing>` an end. 0 is
padding, 1 an unknown token; words and n-grams follow by falling count, equal counts by the alphabet.
Ref: arXiv:1607.04606, without its hashing: a token is a token, so that a model says what it has learned.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt

from mmdist.data.ascii_words import SplitWords, split_ascii
from mmdist.data.tokenizer.base import PADDING, UNKNOWN, Tokenizer, in_batches, most_characters, not_a_tokenizer
from mmdist.data.tokenizer.library import PADDING_TOKEN, UNKNOWN_TOKEN
from mmdist.data.tokenizer.word import word_cutter
from mmdist.spec.text import NgramsTokenizerSpec

__all__ = ["NgramsTokenizer"]

KIND = "ngrams"
_TEXTS_AT_A_TIME = 1024
_KEPT_WORDS = 65_536
_KEPT_CHARACTERS = 64

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]


class NgramsTokenizer(Tokenizer):
    """Gives for each word of a text its own number, where it has one, and then those of its n-grams.

    Args:
        words: Numbers of words.
        ngrams: Numbers of n-grams, the marks `<` and `>` among their characters.
        lengths: Shortest and longest n-gram.
        tokens: T.
        lowercase: Whether upper and lower case are one.
    """

    def __init__(
        self,
        words: dict[str, int],
        ngrams: dict[str, int],
        *,
        lengths: tuple[int, int],
        tokens: int,
        lowercase: bool,
    ) -> None:
        super().__init__(tokens)
        self._words = words
        self._ngrams = ngrams
        self._lengths = lengths
        self._lowercase = lowercase
        self._known: dict[str, Int32Array] = {}

    @classmethod
    def learn(
        cls, texts: Iterable[str], spec: NgramsTokenizerSpec, *, tokens: int, vocabulary: int
    ) -> "NgramsTokenizer":
        """Learns the vocabulary from texts in one pass; memory grows with the distinct words alone."""
        words: Counter[str] = Counter()
        cutter = _Cutter(lowercase=spec.lowercase)
        for batch in in_batches(texts, most_characters(tokens)):
            for split in cutter.split(batch):
                for word, count in zip(split.words, np.bincount(split.which).tolist(), strict=True):
                    words[word] += count
        ngrams: Counter[str] = Counter()
        for word, count in words.items():
            for ngram in _ngrams_of(word, spec.lengths):
                ngrams[ngram] += count
        # A rare word is kept, as the word tokenizer keeps it; a rare n-gram says no more than its word.
        found = [(-count, 0, word) for word, count in words.items()]
        found += [(-count, 1, ngram) for ngram, count in ngrams.items() if count >= spec.min_count]
        numbers: tuple[dict[str, int], dict[str, int]] = ({}, {})
        for number, (_, kind, token) in enumerate(sorted(found)[: vocabulary - 2], start=UNKNOWN + 1):
            numbers[kind][token] = number
        return cls(*numbers, lengths=spec.lengths, tokens=tokens, lowercase=spec.lowercase)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "NgramsTokenizer":
        """The tokenizer of a JSON object that `to_bytes` wrote. Raises DataRefusedError for another one."""
        try:
            words, ngrams = dict(record["words"]), dict(record["ngrams"])
            shortest, longest = record["lengths"]
            facts = (int(shortest), int(longest), int(record["tokens"]), bool(record["lowercase"]))
        except (KeyError, TypeError, ValueError) as error:
            raise not_a_tokenizer(f"n-grams that cannot be read: {error!r}") from error
        numbers = sorted([*words.values(), *ngrams.values()])
        if numbers != list(range(UNKNOWN + 1, UNKNOWN + 1 + len(numbers))):
            raise not_a_tokenizer("n-grams whose numbers do not follow each other")
        return cls(words, ngrams, lengths=facts[:2], tokens=facts[2], lowercase=facts[3])

    def to_bytes(self) -> bytes:
        """JSON: the numbers of words and n-grams, and how a text is cut."""
        record = {
            "type": KIND,
            "version": 1,
            "tokens": self.tokens,
            "lowercase": self._lowercase,
            "lengths": list(self._lengths),
            "words": self._words,
            "ngrams": self._ngrams,
        }
        return json.dumps(record, ensure_ascii=False, sort_keys=True, indent=1).encode()

    @property
    def size(self) -> int:
        """Words, n-grams, and the padding and unknown tokens."""
        return UNKNOWN + 1 + len(self._words) + len(self._ngrams)

    @property
    def vocabulary(self) -> list[str]:
        """The tokens by their numbers: a word is written `<word>`, without a length limit."""
        named = {number: f"<{word}>" for word, number in self._words.items()}
        named |= {number: ngram for ngram, number in self._ngrams.items()}
        return [PADDING_TOKEN, UNKNOWN_TOKEN, *(named[number] for number in sorted(named))]

    @property
    def starts_word(self) -> npt.NDArray[np.bool_]:
        """See `Tokenizer`: words begin, and what is not known; n-grams go on."""
        starts = np.ones(self.size, np.bool_)
        starts[list(self._ngrams.values())] = False
        return starts

    def encode(self, texts: Sequence[str]) -> Int32Array:
        """See `Tokenizer.encode`."""
        ids = np.full((len(texts), self.tokens), PADDING, np.int32)
        cut = [text[: self.max_characters] for text in texts]
        for split in self._cutter.split(cut):
            self._write(split, ids)
        return ids

    @cached_property
    def _cutter(self) -> "_Cutter":
        return _Cutter(lowercase=self._lowercase)

    def _write(self, split: SplitWords, ids: Int32Array) -> None:
        """Writes the numbers of words in their order, word by word, each text into its row."""
        if not split.words:
            return
        found = [self._numbers(word) for word in split.words]
        lengths = np.array([len(numbers) for numbers in found])
        starts = np.cumsum(lengths) - lengths
        counts = lengths[split.which]
        # Place of a word's first number in its row: what all words before it take, less what other rows' words take.
        before = np.cumsum(counts) - counts
        first_of_row = np.searchsorted(split.row, split.row, side="left")
        place = before - before[first_of_row]
        within = np.arange(counts.sum()) - np.repeat(before, counts)
        places = np.repeat(place, counts) + within
        is_kept = places < self.tokens
        sources = (np.repeat(starts[split.which], counts) + within)[is_kept]
        ids[np.repeat(split.row, counts)[is_kept], places[is_kept]] = np.concatenate(found)[sources]

    def _numbers(self, word: str) -> Int32Array:
        known = self._known.get(word)
        if known is not None:
            return known
        numbers = [self._words[word]] if word in self._words else []
        for ngram in _ngrams_of(word, self._lengths):
            if len(numbers) == self.tokens:
                break
            if ngram in self._ngrams:
                numbers.append(self._ngrams[ngram])
        found = np.array(numbers or [UNKNOWN], np.int32)
        if len(word) <= _KEPT_CHARACTERS:
            if len(self._known) >= _KEPT_WORDS:
                self._known.clear()
            self._known[word] = found
        return found


def _ngrams_of(word: str, lengths: tuple[int, int]) -> Iterator[str]:
    """The n-grams of `<word>` from short to long, and of one length from left to right; not `<word>` itself."""
    spelt = f"<{word}>"
    shortest, longest = lengths
    for length in range(shortest, min(longest, len(spelt) - 1) + 1):
        for start in range(len(spelt) - length + 1):
            yield spelt[start : start + length]


class _Cutter:
    """Texts to words, as the word tokenizer cuts them."""

    def __init__(self, *, lowercase: bool) -> None:
        self._lowercase = lowercase
        self._inner = word_cutter(lowercase=lowercase)

    def split(self, texts: Sequence[str]) -> Iterator[SplitWords]:
        """The words of texts in a few parts; `row` counts from the first text."""
        plain = [text.isascii() for text in texts]
        rows = np.flatnonzero(plain)
        ascii_texts = list(compress(texts, plain))
        for start in range(0, len(rows), _TEXTS_AT_A_TIME):
            part = slice(start, start + _TEXTS_AT_A_TIME)
            split = split_ascii(ascii_texts[part], lowercase=self._lowercase)
            yield split._replace(row=rows[part][split.row])
        if len(ascii_texts) < len(texts):
            yield self._split_any([(row, text) for row, text in enumerate(texts) if not plain[row]])

    def _split_any(self, texts: Sequence[tuple[int, str]]) -> SplitWords:
        rows: list[int] = []
        which: list[int] = []
        numbers: dict[str, int] = {}
        for row, text in texts:
            normal = self._inner.normalizer.normalize_str(text)
            for word, _ in self._inner.pre_tokenizer.pre_tokenize_str(normal):
                rows.append(row)
                which.append(numbers.setdefault(word, len(numbers)))
        return SplitWords(np.array(rows, np.int64), np.array(which, np.int64), list(numbers))
