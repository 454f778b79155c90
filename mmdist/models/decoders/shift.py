"""What every decoder begins and ends with: the tokens before each place, and no chance for what is no word."""

from typing import Any

import keras
import numpy as np

__all__ = ["DECODER", "UNSAID", "tokens_before", "words_alone"]

# B batch, L tokens, V tokens that can be said

DECODER = "decoder"
"""Name of the decoder's layer in a model."""
UNSAID = 2
"""Numbers of padding and the unknown word, which come first: neither is ever said."""
_NEVER = -1e9


def tokens_before(label_BL: Any, begin: int) -> Any:
    """Sentences int32 (B, L), each moved on by one place: int32 (B, L), `begin` first."""
    label_BL = keras.ops.cast(label_BL, "int32")
    return keras.ops.concatenate([keras.ops.full_like(label_BL[:, :1], begin), label_BL[:, :-1]], axis=1)


def words_alone(logits_BLV: Any) -> Any:
    """Logits float32 (B, L, V) less those of what is never said, so that words and the end share all probability."""
    said_V = np.zeros(logits_BLV.shape[-1], np.float32)
    said_V[:UNSAID] = _NEVER
    return logits_BLV + said_V
