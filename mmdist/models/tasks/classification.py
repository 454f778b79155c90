"""One label per row: a dense layer, softmax and cross-entropy."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from mmdist.models.layers import kernel_penalty
from mmdist.models.seeds import glorot
from mmdist.models.tasks.base import Tensors
from mmdist.models.tasks.heads import HeadTask
from mmdist.models.tasks.teaching import softmax_losses
from mmdist.spec.model import RegularizationSpec
from mmdist.spec.task import ClassificationSpec

__all__ = ["ClassificationHead", "ClassificationTask"]

# B batch, C classes, D width


class ClassificationHead(keras.layers.Layer):
    """A dense layer to one logit per class.

    Args:
        regularization: Penalties on the kernel.
        classes: Number of labels.
        seed: The job's seed, which the weights are drawn from.
        name: Of the layer, unique in its model.
    """

    def __init__(self, *, regularization: RegularizationSpec, classes: int, seed: int, name: str = "head") -> None:
        # Logits stay float32 whatever the precision: a softmax over half floats loses rows.
        super().__init__(name=name, dtype="float32")
        self.dense = keras.layers.Dense(
            classes,
            kernel_initializer=glorot(seed, name),
            kernel_regularizer=kernel_penalty(regularization),
            dtype="float32",
            name="logits",
        )

    def call(self, fused_BD: Any) -> Any:
        """Fused vectors (B, D): logits float32 (B, C)."""
        return self.dense(fused_BD)


class ClassificationTask(HeadTask):
    """Tells which one label a row has.

    `inputs["label"]`: int32 (B,) in [0, C). Outputs: `logits`, float32 (B, C). Answers: `probabilities`, float32
    (B, C), rows summing to 1.

    Args:
        spec: What is done to the loss in training.
        regularization: Penalties on the head's kernel.
        classes: Number of labels.
        seed: The job's seed.
        weights: By label, what a row's loss is multiplied by in training; empty for 1.
    """

    def __init__(
        self,
        spec: ClassificationSpec,
        *,
        regularization: RegularizationSpec,
        classes: int,
        seed: int,
        weights: Sequence[float] = (),
    ) -> None:
        self.metrics = tuple(spec.metrics)
        self._smoothing = spec.label_smoothing
        self._gamma = spec.focal_gamma
        self._weights_C = np.array(weights, np.float32)
        self._regularization = regularization
        self._classes = classes
        self._seed = seed

    def make_head(self, name: str) -> ClassificationHead:
        """A dense layer to the logits."""
        return ClassificationHead(
            regularization=self._regularization, classes=self._classes, seed=self._seed, name=name
        )

    def row_losses(self, outputs: Tensors, inputs: Tensors) -> Any:
        """Cross-entropy."""
        return keras.losses.sparse_categorical_crossentropy(inputs["label"], outputs["logits"], from_logits=True)

    def taught_losses(self, losses_B: Any, outputs: Tensors, inputs: Tensors) -> Any:
        """Smoothed, focal and weighted, as the job asks."""
        if self._smoothing or self._gamma:
            losses_B = softmax_losses(outputs["logits"], inputs["label"], smoothing=self._smoothing, gamma=self._gamma)
        if len(self._weights_C):
            losses_B = losses_B * keras.ops.take(self._weights_C, inputs["label"])
        return losses_B

    def row_metrics(self, outputs: Tensors, inputs: Tensors) -> tuple[Any, ...]:
        """Whether the most likely label is the right one."""
        answer_B = keras.ops.argmax(outputs["logits"], axis=-1)
        return (keras.ops.cast(keras.ops.equal(answer_B, keras.ops.cast(inputs["label"], "int32")), "float32"),)

    def answers(self, outputs: Tensors) -> dict[str, Any]:
        """Softmax over the classes."""
        return {"probabilities": keras.ops.softmax(outputs["logits"], axis=-1)}
