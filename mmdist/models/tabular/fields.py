"""The fields of a record as vectors: numbers times a vector, categories and missing values by vectors of their own."""

from typing import Any

import keras

from mmdist.models.facts import TabularFacts
from mmdist.models.seeds import seed_for

__all__ = ["FieldEmbedding"]

# B batch, F fields (N numbers, then C categories), D width


class FieldEmbedding(keras.layers.Layer):
    """One vector per field. A missing field has a learned vector of its own.

    Args:
        width: D.
        facts: The fields.
        seed: The job's seed, which the vectors are drawn from.

    Ref: arXiv:2106.11959, section 3.3 (feature tokenizer).
    """

    def __init__(self, width: int, *, facts: TabularFacts, seed: int) -> None:
        super().__init__(name="fields")
        fields = facts.numbers + len(facts.categories)

        def start(name: str) -> Any:
            return keras.initializers.RandomUniform(seed=seed_for(seed, f"kernel/tabular/{name}"))

        self._facts = facts
        # All columns' categories lie in one table, each column's after those of the columns before.
        self._first_category = [sum(facts.categories[:place]) for place in range(len(facts.categories))]
        self.slopes_ND = self.add_weight(shape=(facts.numbers, width), initializer=start("slopes"), name="slopes")
        self.offsets_FD = self.add_weight(shape=(fields, width), initializer=start("offsets"), name="offsets")
        self.missing_FD = self.add_weight(shape=(fields, width), initializer=start("missing"), name="missing")
        self.embedding = keras.layers.Embedding(
            max(sum(facts.categories), 1),
            width,
            embeddings_initializer=start("categories"),
            name="categories",
        )

    def call(self, tabular_BF2: Any) -> Any:
        """Values and whether they are known, float32 (B, F, 2), as `TabularEncoder` makes them: float (B, F, D)."""
        values_BF, known_BF = tabular_BF2[..., 0], tabular_BF2[..., 1]
        count = self._facts.numbers
        parts = []
        if count:
            parts.append(values_BF[:, :count, None] * self.slopes_ND)
        if self._facts.categories:
            ids_BC = keras.ops.cast(values_BF[:, count:], "int32") + keras.ops.convert_to_tensor(
                self._first_category, "int32"
            )
            parts.append(self.embedding(ids_BC))
        fields_BFD = keras.ops.concatenate([keras.ops.cast(part, self.compute_dtype) for part in parts], axis=1)
        return keras.ops.where(known_BF[..., None] > 0.5, fields_BFD + self.offsets_FD, self.missing_FD)
