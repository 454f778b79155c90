"""Tokenizers that were published with pretrained weights, in the format of the `tokenizers` library."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers

from mmdist.data.tokenizer.base import PADDING, UNKNOWN, not_a_tokenizer
from mmdist.data.tokenizer.library import UNKNOWN_TOKEN, LibraryTokenizer
from mmdist.errors import DataRefusedError, Place

__all__ = ["FileTokenizer"]

KIND = "file"


class FileTokenizer(LibraryTokenizer):
    """Cuts and numbers texts as published, with the tokens that frame a text, such as `[CLS]` and `[SEP]`.

    Its token 0 must be padding. A text of which nothing but the frame would be left is padding from its first place.
    """

    @classmethod
    def read(cls, data: bytes, name: str, *, tokens: int) -> "FileTokenizer":
        """The tokenizer of a published file.

        Args:
            data: Content of its `tokenizer.json`.
            name: What people call the file.
            tokens: T, the frame among them.

        Raises:
            DataRefusedError: where it is no such file, token 0 is not its padding, or the frame leaves no room.
        """
        try:
            inner = tokenizers.Tokenizer.from_str(data.decode())
        except Exception as error:  # the library raises bare Exception
            raise DataRefusedError(
                "the tokenizer's file cannot be read",
                expected="a `tokenizer.json` of the tokenizers library",
                received=str(error),
                place=Place(file=name),
            ) from error
        padding: dict[str, Any] = inner.padding or {"pad_id": inner.token_to_id("[PAD]")}
        if padding["pad_id"] != PADDING:
            raise DataRefusedError(
                "token 0 of the published tokenizer is not its padding",
                expected="`[PAD]` as token 0",
                received=f"`{inner.id_to_token(0)}`",
                place=Place(file=name),
                remedy="take another encoder: those that are laid out as BERT have it so",
            )
        frame = inner.num_special_tokens_to_add(is_pair=False)
        if frame >= tokens:
            raise DataRefusedError(
                "the tokens that frame a text leave no room for it",
                expected=f"more than {frame} tokens",
                received=f"{tokens} tokens",
                place=Place(key="data.text.tokens"),
            )
        inner.no_padding()
        inner.enable_truncation(tokens)
        return cls(inner)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "FileTokenizer":
        """The tokenizer of a JSON object that `to_bytes` wrote. Raises DataRefusedError for another one."""
        if "tokenizer" not in record:
            raise not_a_tokenizer("a file's tokenizer that is not there")
        return cls(tokenizers.Tokenizer.from_str(json.dumps(record["tokenizer"])))

    def to_bytes(self) -> bytes:
        """JSON: the published tokenizer, cut to the job's tokens."""
        record = {"type": KIND, "version": 1, "tokenizer": json.loads(self._inner.to_str())}
        return json.dumps(record, ensure_ascii=False, sort_keys=True, indent=1).encode()

    @property
    def size(self) -> int:
        """Numbers that tokens have, up to the highest."""
        return max(self._inner.get_vocab().values()) + 1

    @property
    def starts_word(self) -> npt.NDArray[np.bool_]:
        """See `Tokenizer`: parts with WordPiece's `##` go on."""
        starts = np.ones(self.size, np.bool_)
        starts[[number for token, number in self._inner.get_vocab().items() if token.startswith("##")]] = False
        return starts

    @property
    def masked(self) -> int:
        """See `Tokenizer`: `[MASK]`, where there is one."""
        found = (self._inner.token_to_id(token) for token in ("[MASK]", UNKNOWN_TOKEN))
        return next((int(number) for number in found if number is not None), UNKNOWN)

    @property
    def frames(self) -> npt.NDArray[np.bool_]:
        """See `Tokenizer`: what an empty text gets."""
        frames = np.zeros(self.size, np.bool_)
        frames[self._inner.encode("").ids] = True
        return frames
