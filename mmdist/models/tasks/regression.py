"""A number per row: a dense layer, trained on scaled values."""

from typing import Any

import keras

from mmdist.models.tasks.base import Tensors
from mmdist.models.tasks.classification import ClassificationHead
from mmdist.models.tasks.heads import HeadTask
from mmdist.spec.model import RegularizationSpec
from mmdist.spec.task import RegressionSpec

__all__ = ["RegressionTask"]

# B batch


class RegressionTask(HeadTask):
    """Tells a number of a row.

    `inputs["label"]`: float32 (B,), in its own unit. Outputs: `scaled`, float32 (B, 1), in standard deviations from
    the mean of the training split. Answers: `value`, float32 (B,), in the label's unit.

    Args:
        spec: Its loss.
        regularization: Penalties on the head's kernel.
        mean: Of the training split's labels.
        deviation: Their standard deviation.
        seed: The job's seed.
    """

    def __init__(
        self, spec: RegressionSpec, *, regularization: RegularizationSpec, mean: float, deviation: float, seed: int
    ) -> None:
        self.metrics = tuple(spec.metrics)
        self._loss = spec.loss
        self._mean = mean
        self._deviation = deviation
        self._regularization = regularization
        self._seed = seed

    def make_head(self, name: str) -> ClassificationHead:
        """A dense layer to one number."""
        return ClassificationHead(regularization=self._regularization, classes=1, seed=self._seed, name=name)

    def outputs(self, numbers_BK: Any) -> dict[str, Any]:
        """The scaled value."""
        return {"scaled": numbers_BK}

    def row_losses(self, outputs: Tensors, inputs: Tensors) -> Any:
        """The loss of the error in standard deviations."""
        error_B = outputs["scaled"][:, 0] - (inputs["label"] - self._mean) / self._deviation
        size_B = keras.ops.abs(error_B)
        if self._loss == "squared":
            return keras.ops.square(error_B)
        if self._loss == "absolute":
            return size_B
        # Ref: doi:10.1214/aoms/1177703732.
        return keras.ops.where(size_B <= 1.0, 0.5 * keras.ops.square(error_B), size_B - 0.5)

    def row_metrics(self, outputs: Tensors, inputs: Tensors) -> tuple[Any, ...]:
        """The size of the error, in the label's unit."""
        return (keras.ops.abs(self.answers(outputs)["value"] - inputs["label"]),)

    def answers(self, outputs: Tensors) -> dict[str, Any]:
        """The value in the label's unit."""
        return {"value": outputs["scaled"][:, 0] * self._deviation + self._mean}
