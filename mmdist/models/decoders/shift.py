"""What every decoder does first: it is given, at each place, the tokens before that place."""

from typing import Any

import keras

__all__ = ["DECODER", "tokens_before"]

# B batch, L tokens

DECODER = "decoder"
"""Name of the decoder's layer in a model."""


def tokens_before(label_BL: Any, begin: int) -> Any:
    """Sentences int32 (B, L), each moved on by one place: int32 (B, L), `begin` first."""
    label_BL = keras.ops.cast(label_BL, "int32")
    return keras.ops.concatenate([keras.ops.full_like(label_BL[:, :1], begin), label_BL[:, :-1]], axis=1)
