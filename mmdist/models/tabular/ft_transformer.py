"""A Transformer over the fields of records."""

from typing import Any

import keras

from mmdist.errors import JobFileError, Place
from mmdist.models.facts import TabularFacts
from mmdist.models.layers import StandIn, TowerOutput
from mmdist.models.tabular.fields import FieldEmbedding
from mmdist.models.transformer import TransformerBlock
from mmdist.spec.model import FTTransformerSpec, RegularizationSpec

__all__ = ["FTTransformerTower"]

# B batch, F fields, D width


class FTTransformerTower(keras.layers.Layer):
    """Each field as a token, a learned token before them, and blocks of attention; the first token is the summary.

    Args:
        spec: Width, heads and depth.
        regularization: Penalties on the kernels, and dropout in the blocks.
        facts: The fields.
        seed: The job's seed, which the weights are drawn from.

    Raises:
        JobFileError: where the width is no multiple of the heads.

    Ref: arXiv:2106.11959.
    """

    def __init__(
        self, spec: FTTransformerSpec, *, regularization: RegularizationSpec, facts: TabularFacts, seed: int
    ) -> None:
        super().__init__(name="tabular_tower")
        if spec.width % spec.heads:
            raise JobFileError(
                f"the width must divide by {spec.heads} heads",
                expected=f"a multiple of {spec.heads}",
                received=str(spec.width),
                place=Place(key="model.tabular.width"),
            )
        self.fields = FieldEmbedding(spec.width, facts=facts, seed=seed)
        self.summary_D = self.add_weight(shape=(spec.width,), initializer="zeros", name="summary")
        self.blocks = [
            TransformerBlock(
                spec.width, spec.heads, regularization=regularization, seed=seed, name=f"tabular/block-{number}"
            )
            for number in range(spec.depth)
        ]
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")
        self.stand_in = StandIn(spec.width)

    def call(self, tabular_BF2: Any, present_B: Any, training: bool = False) -> TowerOutput:
        """Fields float32 (B, F, 2), present bool (B,): tokens (B, F, width), pooled (B, width)."""
        fields_BFD = self.fields(tabular_BF2)
        summary_BFD = keras.ops.zeros_like(fields_BFD[:, :1]) + keras.ops.cast(self.summary_D, fields_BFD.dtype)
        tokens_BTD = keras.ops.concatenate([summary_BFD, fields_BFD], axis=1)
        mask_BTT = keras.ops.ones_like(tokens_BTD[:, None, :, 0], dtype="bool")
        for block in self.blocks:
            tokens_BTD = block(tokens_BTD, mask_BTT, training=training)
        tokens_BTD = self.norm(tokens_BTD)
        mask_BF = keras.ops.logical_and(keras.ops.ones_like(tabular_BF2[..., 0], dtype="bool"), present_B[:, None])
        return TowerOutput(tokens_BTD[:, 1:], mask_BF, self.stand_in(tokens_BTD[:, 0], present_B))
