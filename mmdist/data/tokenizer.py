"""Texts to token numbers: a vocabulary of words learned in one pass, by the `tokenizers` library.

0 is padding, 1 an unknown token, and words follow by falling count, equal counts by the alphabet; the order in
which the texts came does not matter.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, trainers

from mmdist.data.ascii_words import AsciiWords
from mmdist.data.values import text_values
from mmdist.errors import DataRefusedError
from mmdist.spec.text import TextSpec

if TYPE_CHECKING:
    from mmdist.data.dataset import Dataset

__all__ = ["PADDING", "UNKNOWN", "Tokenizer", "learn_tokenizer"]

PADDING = 0
UNKNOWN = 1
_PADDING_TOKEN = "[PAD]"
_UNKNOWN_TOKEN = "[UNK]"
_LEARN_BATCH_ROWS = 1000
_MIN_CHARACTERS = 4096
_CHARACTERS_PER_TOKEN = 64

# The reading threads share the cores already; the library's own threads would only compete with the decoder.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


class Tokenizer:
    """Cuts a text into words and punctuation marks (Unicode NFKC, optionally lower case) and numbers them."""

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        truncation: dict[str, Any] | None = inner.truncation
        if truncation is None or inner.token_to_id(_UNKNOWN_TOKEN) != UNKNOWN:
            raise _not_a_tokenizer("a tokenizer that mmdist did not learn")
        self._inner = inner
        self.tokens: int = truncation["max_length"]
        """Tokens per text, T: a longer text is cut, a shorter one padded."""
        self.max_characters = _most_characters(self.tokens)
        """Characters of a text that are looked at; the rest of a longer text is cut before it is tokenised."""
        self._ascii_words = _ascii_words(inner, self.tokens)

    @classmethod
    def learn(cls, texts: Iterable[str], spec: TextSpec) -> "Tokenizer":
        """Learns the vocabulary from texts in one pass; memory grows with the distinct words alone."""
        inner = _without_words(spec.tokens, lowercase=spec.tokenizer.lowercase)
        trainer = trainers.WordLevelTrainer(
            vocab_size=spec.vocabulary, special_tokens=[_PADDING_TOKEN, _UNKNOWN_TOKEN], show_progress=False
        )
        inner.train_from_iterator(_in_batches(texts, _most_characters(spec.tokens)), trainer)
        return cls(inner)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Tokenizer":
        """The tokenizer that `to_bytes` wrote.

        Raises:
            DataRefusedError: where the bytes are not one.
        """
        try:
            inner = tokenizers.Tokenizer.from_str(data.decode())
        except Exception as error:  # the library raises bare Exception
            raise _not_a_tokenizer(str(error)) from error
        return cls(inner)

    def to_bytes(self) -> bytes:
        """JSON of the `tokenizers` library; the same tokenizer always gives the same bytes."""
        return json.dumps(json.loads(self._inner.to_str()), ensure_ascii=False, sort_keys=True, indent=1).encode()

    @property
    def sha256(self) -> str:
        """SHA-256 of `to_bytes`, in hexadecimal."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @property
    def size(self) -> int:
        """Tokens in the vocabulary, the padding and unknown tokens among them."""
        return int(self._inner.get_vocab_size())

    @property
    def vocabulary(self) -> list[str]:
        """The tokens by their numbers."""
        by_token = self._inner.get_vocab()
        return sorted(by_token, key=by_token.__getitem__)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """Token numbers of texts: int32 (B, T), padded with 0 on the right. Fastest for hundreds of texts at a time."""
        cut = [text[: self.max_characters] for text in texts]
        words = self._ascii_words
        if words is None:
            return self._encode_any(cut)
        plain = [words.is_plain(text) for text in cut]
        if all(plain):
            return words.encode(cut)
        ids = np.empty((len(cut), self.tokens), np.int32)
        ids[plain] = words.encode(list(compress(cut, plain)))
        others = [not is_plain for is_plain in plain]
        ids[others] = self._encode_any(list(compress(cut, others)))
        return ids

    def _encode_any(self, texts: list[str]) -> npt.NDArray[np.int32]:
        ids = np.zeros((len(texts), self.tokens), np.int32)
        for row, encoding in zip(ids, self._inner.encode_batch_fast(texts), strict=True):
            found = encoding.ids
            row[: len(found)] = found
        return ids

    def count(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Tokens of each text, at most T: int64 (B,)."""
        cut = [text[: self.max_characters] for text in texts]
        return np.array([len(encoding) for encoding in self._inner.encode_batch_fast(cut)], np.int64)


def learn_tokenizer(
    dataset: "Dataset", column: str, spec: TextSpec, progress: Callable[[int], None] | None = None
) -> Tokenizer:
    """Learns a tokenizer from a column of a dataset, reading that column alone, a row group at a time.

    Args:
        dataset: The training split.
        column: The column with the texts; nulls and texts that are not valid UTF-8 are left out.
        spec: Tokens, vocabulary and kind of tokenizer.
        progress: Called with the number of rows read so far.

    Raises:
        DataRefusedError: where no text holds a single word.
    """
    tokenizer = Tokenizer.learn(_texts(dataset, column, progress), spec)
    if tokenizer.size <= UNKNOWN + 1:
        raise DataRefusedError(
            f"column {column} holds no word to learn a vocabulary from",
            expected="at least one text with a word",
            received=f"{dataset.rows} rows of {dataset.store.url}, none with a text",
            remedy="leave `text` out of `data.columns`, or name the column that holds the texts",
        )
    return tokenizer


def _without_words(tokens: int, *, lowercase: bool) -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer(models.WordLevel(unk_token=_UNKNOWN_TOKEN))
    inner.normalizer = normalizers.Sequence([normalizers.NFKC(), *([normalizers.Lowercase()] if lowercase else [])])
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.enable_truncation(tokens)
    return inner


def _ascii_words(inner: tokenizers.Tokenizer, tokens: int) -> AsciiWords | None:
    """The fast way for plain texts; None where the tokenizer is not exactly as `learn` makes them."""
    parts = json.loads(inner.to_str())
    vocabulary = parts["model"].pop("vocab", {})
    for lowercase in (False, True):
        expected = _without_words(tokens, lowercase=lowercase)
        expected.add_special_tokens([_PADDING_TOKEN, _UNKNOWN_TOKEN])
        stated = json.loads(expected.to_str())
        stated["model"].pop("vocab", None)
        if parts == stated:
            special = (_PADDING_TOKEN, _UNKNOWN_TOKEN)
            return AsciiWords(vocabulary, special=special, unknown=UNKNOWN, tokens=tokens, lowercase=lowercase)
    return None


def _most_characters(tokens: int) -> int:
    return max(_MIN_CHARACTERS, _CHARACTERS_PER_TOKEN * tokens)


def _texts(dataset: "Dataset", column: str, progress: Callable[[int], None] | None) -> Iterator[str]:
    rows = 0
    for group in range(len(dataset.index)):
        texts, _ = text_values(dataset.read_row_group(group, [column]).column(column))
        yield from (text for text in texts if text)
        rows += len(texts)
        if progress is not None:
            progress(rows)


def _in_batches(texts: Iterable[str], max_characters: int) -> Iterator[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text[:max_characters])
        if len(batch) == _LEARN_BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _not_a_tokenizer(received: str) -> DataRefusedError:
    return DataRefusedError(
        "the tokenizer of the model cannot be read",
        expected="a tokenizer.json that mmdist wrote",
        received=received,
        remedy="restore the model's folder from its run, or train again",
    )
