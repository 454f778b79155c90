"""One of several labels in an order: one number per row, cut by ordered thresholds."""

from typing import Any

import keras

from mmdist.models.layers import kernel_penalty
from mmdist.models.seeds import glorot
from mmdist.models.tasks.base import Tensors
from mmdist.models.tasks.heads import HeadTask
from mmdist.spec.model import RegularizationSpec
from mmdist.spec.task import OrdinalSpec

__all__ = ["OrdinalHead", "OrdinalTask"]

# B batch, C labels, K = C - 1 thresholds, D width


class OrdinalHead(keras.layers.Layer):
    """One number per row, and a logit for each threshold that it is above it.

    Args:
        regularization: Penalties on the kernel.
        thresholds: K.
        seed: The job's seed, which the weights are drawn from.
        name: Of the layer, unique in its model.

    Ref: doi:10.1111/j.2517-6161.1980.tb01109.x (cumulative logits); thresholds are kept in order by their distances.
    """

    def __init__(self, *, regularization: RegularizationSpec, thresholds: int, seed: int, name: str) -> None:
        super().__init__(name=name, dtype="float32")
        self.dense = keras.layers.Dense(
            1,
            use_bias=False,
            kernel_initializer=glorot(seed, name),
            kernel_regularizer=kernel_penalty(regularization),
            dtype="float32",
            name="score",
        )
        # Evenly spread over (-1, 1) at first: the softplus of 0.54 is 1.
        first = -(thresholds - 1) / 2
        self.first = self.add_weight(shape=(1,), initializer=keras.initializers.Constant(first), name="first")
        self.distances_K = self.add_weight(
            shape=(thresholds - 1,), initializer=keras.initializers.Constant(0.5413), name="distances"
        )

    def call(self, fused_BD: Any) -> Any:
        """Fused vectors (B, D): logits float32 (B, K), falling from the first threshold to the last."""
        steps_K = keras.ops.concatenate([self.first, keras.ops.softplus(self.distances_K)])
        return self.dense(fused_BD) - keras.ops.cumsum(steps_K)[None, :]


class OrdinalTask(HeadTask):
    """Tells which of several ordered labels a row has.

    `inputs["label"]`: int32 (B,) in [0, C). Outputs: `logits`, float32 (B, C - 1), of being above each threshold.
    Answers: `probabilities`, float32 (B, C), rows summing to 1.

    Args:
        spec: Its labels, in their order.
        regularization: Penalties on the head's kernel.
        seed: The job's seed.
    """

    def __init__(self, spec: OrdinalSpec, *, regularization: RegularizationSpec, seed: int) -> None:
        self.metrics = tuple(spec.metrics)
        self._thresholds = len(spec.labels) - 1
        self._regularization = regularization
        self._seed = seed

    def make_head(self, name: str) -> OrdinalHead:
        """A number and its thresholds."""
        return OrdinalHead(regularization=self._regularization, thresholds=self._thresholds, seed=self._seed, name=name)

    def row_losses(self, outputs: Tensors, inputs: Tensors) -> Any:
        """The cross-entropy of the label's probability."""
        probabilities_BC = self.answers(outputs)["probabilities"]
        return keras.losses.sparse_categorical_crossentropy(inputs["label"], probabilities_BC)

    def row_metrics(self, outputs: Tensors, inputs: Tensors) -> tuple[Any, ...]:
        """Whether the most likely label is the right one, and how many labels it is away from it."""
        answer_B = keras.ops.argmax(self.answers(outputs)["probabilities"], axis=-1)
        away_B = keras.ops.abs(keras.ops.cast(answer_B, "int32") - keras.ops.cast(inputs["label"], "int32"))
        return keras.ops.cast(keras.ops.equal(away_B, 0), "float32"), keras.ops.cast(away_B, "float32")

    def answers(self, outputs: Tensors) -> dict[str, Any]:
        """The differences of the probabilities to be above each threshold."""
        above_BK = keras.ops.sigmoid(outputs["logits"])
        ones_B1 = keras.ops.ones_like(above_BK[:, :1])
        edges = keras.ops.concatenate([ones_B1, above_BK, keras.ops.zeros_like(ones_B1)], axis=-1)
        return {"probabilities": edges[:, :-1] - edges[:, 1:]}
