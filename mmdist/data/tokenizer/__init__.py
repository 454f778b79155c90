"""Texts to token numbers: one file per kind of tokenizer, and the one place that turns a spec into a tokenizer."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, assert_never

import tokenizers

from mmdist.data.tokenizer.base import PADDING, UNKNOWN, Tokenizer, not_a_tokenizer
from mmdist.data.tokenizer.file import KIND as FILE
from mmdist.data.tokenizer.file import FileTokenizer
from mmdist.data.tokenizer.ngrams import KIND as NGRAMS
from mmdist.data.tokenizer.ngrams import NgramsTokenizer
from mmdist.data.tokenizer.subword import SubwordTokenizer
from mmdist.data.tokenizer.word import WordTokenizer
from mmdist.data.values import text_values
from mmdist.errors import DataRefusedError
from mmdist.spec.text import (
    FileTokenizerSpec,
    NgramsTokenizerSpec,
    SubwordTokenizerSpec,
    TextSpec,
    WordTokenizerSpec,
)

if TYPE_CHECKING:
    from mmdist.data.dataset import Dataset

__all__ = [
    "PADDING",
    "UNKNOWN",
    "FileTokenizer",
    "NgramsTokenizer",
    "SubwordTokenizer",
    "Tokenizer",
    "WordTokenizer",
    "learn_from_texts",
    "learn_tokenizer",
    "read_tokenizer",
]


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
    tokenizer = learn_from_texts(_texts(dataset, column, progress), spec)
    if tokenizer.size <= UNKNOWN + 1:
        raise DataRefusedError(
            f"column {column} holds no word to learn a vocabulary from",
            expected="at least one text with a word",
            received=f"{dataset.rows} rows of {dataset.store.url}, none with a text",
            remedy="leave `text` out of `data.columns`, or name the column that holds the texts",
        )
    return tokenizer


def learn_from_texts(texts: Iterable[str], spec: TextSpec) -> Tokenizer:
    """The tokenizer that the spec's `type` names, learned from texts in one pass; one of a file is not learned."""
    kind = spec.tokenizer
    match kind:
        case WordTokenizerSpec():
            return WordTokenizer.learn(texts, kind, tokens=spec.tokens, vocabulary=spec.vocabulary)
        case NgramsTokenizerSpec():
            return NgramsTokenizer.learn(texts, kind, tokens=spec.tokens, vocabulary=spec.vocabulary)
        case SubwordTokenizerSpec():
            return SubwordTokenizer.learn(texts, kind, tokens=spec.tokens, vocabulary=spec.vocabulary)
        case FileTokenizerSpec():
            raise ValueError("a tokenizer of a file is read by FileTokenizer.read")
        case _:
            assert_never(kind)


def read_tokenizer(data: bytes) -> Tokenizer:
    """The tokenizer that `Tokenizer.to_bytes` wrote.

    Raises:
        DataRefusedError: where the bytes are not one.
    """
    try:
        record = json.loads(data)
        if isinstance(record, dict) and record.get("type") == NGRAMS:
            return NgramsTokenizer.from_record(record)
        if isinstance(record, dict) and record.get("type") == FILE:
            return FileTokenizer.from_record(record)
        inner = tokenizers.Tokenizer.from_str(data.decode())
        is_subword = isinstance(inner.model, tokenizers.models.BPE)
    except DataRefusedError:
        raise
    except Exception as error:  # the library raises bare Exception
        raise not_a_tokenizer(str(error)) from error
    return SubwordTokenizer(inner) if is_subword else WordTokenizer(inner)


def _texts(dataset: "Dataset", column: str, progress: Callable[[int], None] | None) -> Iterator[str]:
    rows = 0
    for group in range(len(dataset.index)):
        texts, _ = text_values(dataset.read_row_group(group, [column]).column(column))
        yield from (text for text in texts if text)
        rows += len(texts)
        if progress is not None:
            progress(rows)
