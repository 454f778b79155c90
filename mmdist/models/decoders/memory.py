"""What a decoder looks at: the tokens of all towers, at one width."""

from collections.abc import Sequence
from typing import Any

import keras

from mmdist.models.layers import TowerOutput
from mmdist.models.seeds import glorot, seed_for

__all__ = ["CaptionMemory"]

# B batch, M modalities, T tokens of one modality, S places of the memory, D width


class CaptionMemory(keras.layers.Layer):
    """Each modality's pooled vector (the stand-in where it is absent) and its tokens, with an embedding of each place.

    Args:
        width: D.
        seed: The job's seed.
    """

    def __init__(self, width: int, *, seed: int) -> None:
        super().__init__(name="memory")
        self.width = width
        self._seed = seed
        self.summaries: list[Any] = []
        self.projections: list[Any] = []
        self.places: list[Any] = []

    def build(self, towers_shape: Sequence[Any]) -> None:
        """Makes the projections and embeddings of each modality."""
        numbers = range(len(towers_shape))
        self.summaries = [self._dense(f"summary_{number}") for number in numbers]
        self.projections = [self._dense(f"projection_{number}") for number in numbers]
        self.places = [
            self.add_weight(
                shape=(tokens_shape[1] + 1, self.width),
                initializer=keras.initializers.RandomNormal(
                    stddev=0.02, seed=seed_for(self._seed, f"embedding/memory/places_{number}")
                ),
                name=f"places_{number}",
            )
            for number, (tokens_shape, _, _) in enumerate(towers_shape)
        ]

    def call(self, towers: Sequence[TowerOutput]) -> tuple[Any, Any]:
        """One output per tower: memory float (B, S, D), and bool (B, S) which places of it stand for something."""
        ops = keras.ops
        parts, masks = [], []
        for tower, summary, projection, places in zip(
            towers, self.summaries, self.projections, self.places, strict=True
        ):
            # A number that is none would spoil a sum even with a weight of 0.
            tokens_BTD = ops.where(tower.token_mask[:, :, None], tower.tokens, ops.zeros_like(tower.tokens))
            rows_BSD = ops.concatenate([summary(tower.pooled)[:, None, :], projection(tokens_BTD)], axis=1)
            parts.append(rows_BSD + ops.cast(places, rows_BSD.dtype))
            masks += [ops.ones_like(tower.token_mask[:, :1]), tower.token_mask]
        return ops.concatenate(parts, axis=1), ops.concatenate(masks, axis=1)

    def _dense(self, name: str) -> Any:
        return keras.layers.Dense(self.width, kernel_initializer=glorot(self._seed, f"memory/{name}"), name=name)
