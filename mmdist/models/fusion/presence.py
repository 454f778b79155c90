"""Which rows have which modality, as a fusion sees it."""

from collections.abc import Sequence
from typing import Any

import keras

from mmdist.models.layers import TowerOutput

__all__ = ["counted", "present_of"]

# B batch, M modalities


def present_of(towers: Sequence[TowerOutput]) -> Any:
    """bool (B, M): a modality is present in a row where any of its tokens stands for something."""
    return keras.ops.stack([keras.ops.any(tower.token_mask, axis=1) for tower in towers], axis=1)


def counted(present_BM: Any) -> Any:
    """bool (B, M): the modalities that a row is judged by. A row without any is judged by all stand-ins."""
    return keras.ops.logical_or(present_BM, keras.ops.logical_not(keras.ops.any(present_BM, axis=1, keepdims=True)))
