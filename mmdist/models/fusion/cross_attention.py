"""A fusion that models the places of the pictures and the words of the texts as one sequence."""

from collections.abc import Sequence
from typing import Any

import keras

from mmdist.models.draws import Dropout
from mmdist.models.layers import TowerOutput, kernel_penalty
from mmdist.models.seeds import glorot, seed_for
from mmdist.models.transformer import TransformerBlock
from mmdist.spec.model import CrossAttentionSpec, RegularizationSpec

__all__ = ["CrossAttentionFusion"]

# B batch, M modalities, T tokens of one modality, S tokens of the sequence, D width


class CrossAttentionFusion(keras.layers.Layer):
    """A Transformer over the tokens of all modalities; what its class token ends as is the fused vector.

    The sequence is a learned class token, each modality's pooled vector (the stand-in where it is absent), and each
    modality's tokens; all are brought to one width, and get an embedding of their modality, the tokens also one of
    their place. Tokens that the masks leave out are seen by none.

    Args:
        spec: Width (default 128), heads (4) and blocks (2).
        regularization: Penalties on the kernels, and dropout in the blocks and of the fused vector.
        seed: The job's seed.

    Ref: arXiv:1706.03762, arXiv:1908.03557 (one Transformer over words and places of a picture).
    """

    def __init__(self, spec: CrossAttentionSpec, *, regularization: RegularizationSpec, seed: int) -> None:
        super().__init__(name="fusion")
        self.spec = spec
        self._regularization = regularization
        self._seed = seed
        self.summaries: list[Any] = []
        self.projections: list[Any] = []
        self.places: list[Any] = []
        self.blocks = [
            TransformerBlock(
                spec.width, spec.heads, regularization=regularization, seed=seed, name=f"fusion/block-{number}"
            )
            for number in range(spec.blocks)
        ]
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")
        self.drop = Dropout(regularization.dropout, seed=seed, name="fusion_dropout")

    def build(self, towers_shape: Sequence[Any]) -> None:
        """Makes the projections and embeddings of each modality."""
        count, width = len(towers_shape), self.spec.width
        self.summaries = [self._dense(f"summary_{number}") for number in range(count)]
        self.projections = [self._dense(f"projection_{number}") for number in range(count)]
        self.places = [
            self._embedding((tokens_shape[1], width), f"places_{number}")
            for number, (tokens_shape, _, _) in enumerate(towers_shape)
        ]
        self.modality_MD = self._embedding((count, width), "modality")
        self.class_11D = self._embedding((1, 1, width), "class")

    def call(self, towers: Sequence[TowerOutput], training: bool = False) -> Any:
        """One output per tower, tokens (B, T_i, D_i): the fused vector float (B, width)."""
        sequence_BSD, mask_BS = self._sequence(towers)
        for block in self.blocks:
            sequence_BSD = block(sequence_BSD, mask_BS[:, None, :], training=training)
        return self.drop(self.norm(sequence_BSD[:, 0]), training=training)

    def _sequence(self, towers: Sequence[TowerOutput]) -> tuple[Any, Any]:
        ops = keras.ops
        pooled_BMD = ops.stack(
            [layer(tower.pooled) for layer, tower in zip(self.summaries, towers, strict=True)], axis=1
        )
        kind = pooled_BMD.dtype
        modality_MD = ops.cast(self.modality_MD, kind)
        class_B1D = ops.zeros_like(pooled_BMD[:, :1]) + ops.cast(self.class_11D, kind)
        parts, masks = [class_B1D, pooled_BMD + modality_MD], [ops.ones_like(towers[0].token_mask[:, :1])]
        masks += [masks[0]] * len(towers)
        for number, (tower, layer, places) in enumerate(zip(towers, self.projections, self.places, strict=True)):
            # A number that is none would spoil a sum even with a weight of 0.
            tokens_BTD = ops.where(tower.token_mask[:, :, None], tower.tokens, ops.zeros_like(tower.tokens))
            parts.append(layer(tokens_BTD) + ops.cast(places, kind) + modality_MD[number])
            masks.append(tower.token_mask)
        return ops.concatenate(parts, axis=1), ops.concatenate(masks, axis=1)

    def _dense(self, name: str) -> Any:
        return keras.layers.Dense(
            self.spec.width,
            kernel_initializer=glorot(self._seed, f"fusion/{name}"),
            kernel_regularizer=kernel_penalty(self._regularization),
            name=name,
        )

    def _embedding(self, shape: tuple[int, ...], name: str) -> Any:
        drawn = keras.initializers.RandomNormal(stddev=0.02, seed=seed_for(self._seed, f"embedding/fusion/{name}"))
        return self.add_weight(shape=shape, initializer=drawn, name=name)
