"""What every tower, fusion and head is made with: a tower's output, penalties, the stand-in of an absent modality."""

from typing import Any, NamedTuple

import keras

from mmdist.spec.model import RegularizationSpec

__all__ = ["StandIn", "TowerOutput", "kernel_penalty"]

# B batch, T tokens, D width


class TowerOutput(NamedTuple):
    """What a tower makes of its modality.

    Attributes:
        tokens: float (B, T, D), one vector per place in the picture or word of the text.
        token_mask: bool (B, T), True where a token stands for something; all False in rows without the modality.
        pooled: float (B, D'), one vector per row; the learned stand-in in rows without the modality.
    """

    tokens: Any
    token_mask: Any
    pooled: Any


def kernel_penalty(spec: RegularizationSpec) -> Any:
    """The penalty on a kernel; None where the job asks for none."""
    return keras.regularizers.L1L2(l1=spec.l1, l2=spec.l2) if spec.l1 or spec.l2 else None


class StandIn(keras.layers.Layer):
    """Puts one learned vector where a row has no picture or no text."""

    def __init__(self, width: int) -> None:
        super().__init__(name="stand_in")
        self.vector_D = self.add_weight(shape=(width,), initializer="zeros", name="vector")

    def call(self, pooled_BD: Any, present_B: Any) -> Any:
        """pooled float (B, D) where present bool (B,), else the learned vector."""
        return keras.ops.where(present_B[:, None], pooled_BD, self.vector_D[None, :])
