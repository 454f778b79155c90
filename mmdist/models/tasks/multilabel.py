"""Any number of labels per row: a dense layer, a sigmoid per label and binary cross-entropy."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from mmdist.models.tasks.base import Tensors
from mmdist.models.tasks.classification import ClassificationHead
from mmdist.models.tasks.heads import HeadTask
from mmdist.models.tasks.teaching import sigmoid_losses
from mmdist.spec.model import RegularizationSpec
from mmdist.spec.task import MultilabelSpec

__all__ = ["MultilabelTask"]

# B batch, C labels


class MultilabelTask(HeadTask):
    """Tells which labels a row has.

    `inputs["label"]`: float32 (B, C), 1 for each label of the row. Outputs: `logits`, float32 (B, C). Answers:
    `probabilities`, float32 (B, C), each in [0, 1]. The loss of a row is the mean over the labels.

    Args:
        spec: Its threshold, and what is done to the loss in training.
        regularization: Penalties on the head's kernel.
        labels: Number of labels.
        seed: The job's seed.
        weights: By label, what its loss is multiplied by in training where a row has it; empty for 1.
    """

    def __init__(
        self,
        spec: MultilabelSpec,
        *,
        regularization: RegularizationSpec,
        labels: int,
        seed: int,
        weights: Sequence[float] = (),
    ) -> None:
        self.metrics = tuple(spec.metrics)
        self._smoothing = spec.label_smoothing
        self._gamma = spec.focal_gamma
        self._weights_C = np.array(weights, np.float32)
        self._threshold = spec.threshold
        self._regularization = regularization
        self._labels = labels
        self._seed = seed

    def make_head(self, name: str) -> ClassificationHead:
        """A dense layer to the logits."""
        return ClassificationHead(regularization=self._regularization, classes=self._labels, seed=self._seed, name=name)

    def row_losses(self, outputs: Tensors, inputs: Tensors) -> Any:
        """Binary cross-entropy, the mean over the labels."""
        return keras.losses.binary_crossentropy(inputs["label"], outputs["logits"], from_logits=True)

    def taught_losses(self, losses_B: Any, outputs: Tensors, inputs: Tensors) -> Any:
        """Smoothed, focal and weighted, as the job asks."""
        if not (self._smoothing or self._gamma or len(self._weights_C)):
            return losses_B
        return sigmoid_losses(
            outputs["logits"],
            inputs["label"],
            smoothing=self._smoothing,
            gamma=self._gamma,
            positive_weights_C=self._weights_C if len(self._weights_C) else None,
        )

    def row_metrics(self, outputs: Tensors, inputs: Tensors) -> tuple[Any, ...]:
        """Labels given and right over labels given or right (1 where there is neither), and whether all are right."""
        given_BC = keras.ops.sigmoid(outputs["logits"]) >= self._threshold
        true_BC = inputs["label"] > 0.5
        both_B, either_B = (
            keras.ops.sum(keras.ops.cast(marks_BC, "float32"), axis=-1)
            for marks_BC in (keras.ops.logical_and(given_BC, true_BC), keras.ops.logical_or(given_BC, true_BC))
        )
        jaccard_B = keras.ops.where(either_B > 0, both_B / keras.ops.maximum(either_B, 1.0), 1.0)
        return jaccard_B, keras.ops.cast(keras.ops.equal(both_B, either_B), "float32")

    def answers(self, outputs: Tensors) -> dict[str, Any]:
        """A sigmoid per label."""
        return {"probabilities": keras.ops.sigmoid(outputs["logits"])}
