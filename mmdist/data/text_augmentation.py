"""Random changes of training texts: a function of (seed, epoch, row), never of place, worker or restart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import numpy.typing as npt

from mmdist.data.augmentation_draws import uniform
from mmdist.data.tokenizer import PADDING, UNKNOWN
from mmdist.spec.augment import TextAugmentSpec, WordDropoutSpec, WordMaskingSpec

__all__ = ["TextAugmentation"]

_KEY = 0x776F726473206761
"""Sets the draws of texts apart from those of pictures."""


@dataclass(frozen=True)
class TextAugmentation:
    """Changes texts.

    Args:
        specs: The changes, in their order.
        seed: The job's seed.
        starts_word: bool (vocabulary,), whether a token begins a word, rather than going on with the one before it.
        frames: bool (vocabulary,), whether a token frames every text, and so stays as it is; None for none.
        masked: The number that a masked word is shown by.
    """

    specs: Sequence[TextAugmentSpec]
    seed: int
    starts_word: npt.NDArray[np.bool_]
    frames: npt.NDArray[np.bool_] | None = None
    masked: int = UNKNOWN

    def __call__(self, texts: npt.NDArray[np.int32], rows: npt.NDArray[np.int64], epoch: int) -> npt.NDArray[np.int32]:
        """Changed texts.

        Args:
            texts: int32 (B, T), token numbers, 0 for padding on the right.
            rows: int64 (B,), the rows' numbers in the dataset; padding may have any number.
            epoch: From 0.

        Returns:
            int32 (B, T). A text with a token has one still.
        """
        places = texts.shape[1]
        drawn = uniform(self.seed, epoch, rows, places * len(self.specs), key=_KEY)
        for number, spec in enumerate(self.specs):
            draws = drawn[:, number * places : (number + 1) * places]
            is_frame = np.zeros(texts.shape, np.bool_) if self.frames is None else self.frames[texts]
            is_token = (texts != PADDING) & ~is_frame
            # A word's number in its text; every token of it looks at the draw of that number.
            word = np.cumsum(self.starts_word[texts] & is_token, axis=1)
            word = np.minimum(np.maximum(word - word[:, :1], 0), places - 1)
            of_word = np.take_along_axis(draws, word, axis=1)
            match spec:
                case WordDropoutSpec():
                    highest = np.where(is_token, of_word, -1.0).max(axis=1, keepdims=True, initial=-1.0)
                    is_kept = is_frame | (is_token & ((of_word >= spec.share) | (of_word == highest)))
                    order = np.argsort(~is_kept, axis=1, kind="stable")
                    texts = np.take_along_axis(np.where(is_kept, texts, np.int32(PADDING)), order, axis=1)
                case WordMaskingSpec():
                    is_masked = is_token & (of_word < spec.share)
                    texts = np.where(is_masked, np.int32(self.masked), texts)
                case _:
                    assert_never(spec)
        return texts
