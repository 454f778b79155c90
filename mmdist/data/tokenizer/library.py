"""Tokenizers whose work the `tokenizers` library does."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers

from mmdist.data.tokenizer.base import UNKNOWN, Tokenizer, not_a_tokenizer

__all__ = ["PADDING_TOKEN", "UNKNOWN_TOKEN", "LibraryTokenizer", "learned"]

PADDING_TOKEN = "[PAD]"
UNKNOWN_TOKEN = "[UNK]"


class LibraryTokenizer(Tokenizer):
    """Holds a tokenizer of the library that cuts at T tokens; its bytes are the library's JSON."""

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        truncation: dict[str, Any] | None = inner.truncation
        if truncation is None:
            raise not_a_tokenizer("a tokenizer that does not say where it cuts a text")
        super().__init__(truncation["max_length"])
        self._inner = inner
        self._frame = int(inner.num_special_tokens_to_add(is_pair=False))
        """Tokens that every text gets, such as `[CLS]` and `[SEP]`."""

    def to_bytes(self) -> bytes:
        """JSON of the `tokenizers` library."""
        return json.dumps(json.loads(self._inner.to_str()), ensure_ascii=False, sort_keys=True, indent=1).encode()

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
        """See `Tokenizer.encode`."""
        return self._encode_any([text[: self.max_characters] for text in texts])

    def count(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Tokens of each text, at most T: int64 (B,)."""
        cut = [text[: self.max_characters] for text in texts]
        counts = np.array([len(encoding) for encoding in self._inner.encode_batch_fast(cut)], np.int64)
        return np.where(counts > self._frame, counts, 0)

    def _encode_any(self, texts: list[str]) -> npt.NDArray[np.int32]:
        ids = np.zeros((len(texts), self.tokens), np.int32)
        for row, encoding in zip(ids, self._inner.encode_batch_fast(texts), strict=True):
            found = encoding.ids
            if len(found) > self._frame:
                row[: len(found)] = found
        return ids


def learned(inner: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """A tokenizer that mmdist learned: 0 is `[PAD]`, 1 is `[UNK]`. Raises DataRefusedError for another one."""
    if inner.truncation is None or inner.token_to_id(UNKNOWN_TOKEN) != UNKNOWN:
        raise not_a_tokenizer("a tokenizer that mmdist did not learn")
    return inner
