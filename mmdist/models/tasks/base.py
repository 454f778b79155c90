"""What a task is: how the model ends, what it is trained for, what is counted, and what it answers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from mmdist.models.fusion import Fuse
from mmdist.models.layers import TowerOutput

__all__ = ["Task", "Tensors"]

Tensors = Mapping[str, Any]


class Task(ABC):
    """One kind of prediction. `inputs` are a batch's arrays, by name, as tensors; B is the rows of one replica."""

    metrics: tuple[str, ...] = ()
    """Names of what `row_metrics` gives, in its order: those of the task's spec."""

    def label_input(self) -> Any | None:
        """The label as an input of the model, named `label`; None where a model is not taught with it."""
        return None

    @abstractmethod
    def connect(self, inputs: Tensors, towers: Mapping[str, TowerOutput], fuse: Fuse) -> dict[str, Any]:
        """The model's outputs by name, made of the towers' outputs; called once, while the model is built.

        A task that ends in a head is a `HeadTask` (heads.py), which says how.
        """

    def across_replicas(self, outputs: Tensors, inputs: Tensors) -> dict[str, Any]:
        """The outputs, with what a row's loss and metrics take of the rows of all replicas; as it stands, nothing.

        Called once a step, in a replica's context, before `row_losses` and `row_metrics` are.
        """
        return dict(outputs)

    @abstractmethod
    def row_losses(self, outputs: Tensors, inputs: Tensors) -> Any:
        """The loss of each row, float32 (B,); any finite number where `inputs["mask"]` is 0."""

    def taught_losses(self, losses_B: Any, outputs: Tensors, inputs: Tensors) -> Any:
        """What training minimizes of each row, float32 (B,), given `row_losses`; as it stands, the same.

        `row_losses` alone are reported, of training and of validation.
        """
        return losses_B

    @abstractmethod
    def row_metrics(self, outputs: Tensors, inputs: Tensors) -> tuple[Any, ...]:
        """By name in `metrics`, a number of each row, float32 (B,): its mean over the rows is the metric."""

    def answers(self, outputs: Tensors) -> dict[str, Any]:
        """What predictions and evaluations are made of, by name; as it stands, the outputs."""
        return dict(outputs)

    def predict(self, model: Any, inputs: Tensors) -> dict[str, Any]:
        """The answers to a batch without labels, by the model that `connect` was called for."""
        return self.answers(model(inputs, training=False))
