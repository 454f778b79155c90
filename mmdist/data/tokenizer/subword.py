"""Parts of words, learned by byte-pair encoding: the `tokenizers` library learns and applies it.

A word is spelt with a mark before it; two parts that stand side by side most often become one, until the vocabulary is
full. 0 is padding, 1 a character that training has not seen; characters follow by the alphabet, then parts in the
order in which they were made. The order in which the texts came does not matter.
Ref: arXiv:1508.07909, arXiv:1808.06226 (the mark).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, repeat

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from mmdist.data.tokenizer.base import in_batches, most_characters
from mmdist.data.tokenizer.library import PADDING_TOKEN, UNKNOWN_TOKEN, LibraryTokenizer, learned
from mmdist.data.tokenizer.word import word_cutter
from mmdist.spec.text import SubwordTokenizerSpec

__all__ = ["SubwordTokenizer"]

_MARK = "\u2581"
"""Stands before each word, so that a part knows whether it begins one."""


class SubwordTokenizer(LibraryTokenizer):
    """Cuts a text into words (Unicode NFKC, optionally lower case), and each word into the parts that it knows."""

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        super().__init__(learned(inner))

    @classmethod
    def learn(
        cls, texts: Iterable[str], spec: SubwordTokenizerSpec, *, tokens: int, vocabulary: int
    ) -> "SubwordTokenizer":
        """Learns the parts from texts in one pass; memory grows with the distinct words alone."""
        inner = word_cutter(lowercase=spec.lowercase)
        words = _count_words(texts, inner, most_characters(tokens))
        characters: Counter[str] = Counter()
        for word, count in words.items():
            for character in _MARK + word:
                characters[character] += count
        # The library would choose among characters of equal count by chance, where they do not all fit.
        kept = sorted(characters, key=lambda character: (-characters[character], character))[: vocabulary - 2]
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            min_frequency=spec.min_count,
            special_tokens=[PADDING_TOKEN, UNKNOWN_TOKEN],
            initial_alphabet=kept,
            limit_alphabet=len(kept),
            show_progress=False,
        )
        inner.model = models.BPE(unk_token=UNKNOWN_TOKEN)
        inner.pre_tokenizer = pre_tokenizers.Sequence(
            [inner.pre_tokenizer, pre_tokenizers.Metaspace(replacement=_MARK, prepend_scheme="always")]
        )
        inner.enable_truncation(tokens)
        again = chain.from_iterable(repeat(word, count) for word, count in sorted(words.items()))
        inner.train_from_iterator(in_batches(again, most_characters(tokens)), trainer)
        return cls(inner)

    @property
    def starts_word(self) -> npt.NDArray[np.bool_]:
        """See `Tokenizer`: parts with the mark begin a word, others go on."""
        return np.array([token.startswith(_MARK) for token in self.vocabulary], np.bool_)


def _count_words(texts: Iterable[str], cutter: tokenizers.Tokenizer, max_characters: int) -> Counter[str]:
    words: Counter[str] = Counter()
    for batch in in_batches(texts, max_characters):
        for text in batch:
            words.update(_words(text, cutter))
    return words


def _words(text: str, cutter: tokenizers.Tokenizer) -> Iterator[str]:
    for word, _ in cutter.pre_tokenizer.pre_tokenize_str(cutter.normalizer.normalize_str(text)):
        yield word
