"""Optimizers and schedules of their learning rate, each chosen by its type."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from mmdist.spec.base import Spec, default_type

__all__ = [
    "AdamSpec",
    "AdamWSpec",
    "CosineSpec",
    "LAMBSpec",
    "LionSpec",
    "OptimizerSpec",
    "PlateauSpec",
    "SGDSpec",
    "ScheduleSpec",
    "StepSpec",
]

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Momentum = Annotated[float, Field(ge=0.0, lt=1.0)]


class CosineSpec(Spec):
    """Half a cosine from the learning rate down to its end (arXiv:1608.03983), after a linear warm-up."""

    type: Literal["cosine"] = "cosine"
    warmup_epochs: NonNegativeFloat = 0.0
    """Epochs, or parts of one, in which the learning rate rises in a line; fewer than `train.epochs`."""
    final_share: Share = 0.0
    """Learning rate after the last step, as a share of `learning_rate`."""


class StepSpec(Spec):
    """Multiplies the learning rate every few epochs."""

    type: Literal["step"] = "step"
    every_epochs: PositiveInt = 10
    """Epochs between two changes."""
    factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """What the learning rate is multiplied by."""


class PlateauSpec(Spec):
    """Multiplies the learning rate when a metric has not improved for some epochs."""

    type: Literal["plateau"] = "plateau"
    metric: str = "val/loss"
    """Loss or a metric of the task, of `train` or of `val`."""
    mode: Literal["min", "max"] | None = None
    """Whether the best value is the smallest or the largest. Default: as the metric wants it."""
    factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """What the learning rate is multiplied by."""
    patience: NonNegativeInt = 3
    """Epochs without improvement that are borne."""
    min_delta: NonNegativeFloat = 0.0
    """Smallest change that counts as an improvement."""
    min_rate: NonNegativeFloat = 0.0
    """Learning rate that it never falls below."""


ScheduleSpec = Annotated[CosineSpec | StepSpec | PlateauSpec, Field(discriminator="type")]


class _Scheduled(Spec):
    schedule: ScheduleSpec | None = None
    """How the learning rate changes; without it, it stays."""


class _Moments(_Scheduled):
    learning_rate: PositiveFloat = 0.001
    beta_1: Momentum = 0.9
    beta_2: Momentum = 0.999
    epsilon: PositiveFloat = 1e-7


class AdamSpec(_Moments):
    """Adam (arXiv:1412.6980)."""

    type: Literal["adam"] = "adam"


class AdamWSpec(_Moments):
    """Adam with decoupled weight decay (arXiv:1711.05101)."""

    type: Literal["adamw"] = "adamw"
    weight_decay: NonNegativeFloat = 0.01
    """Share of a weight, times the learning rate, taken off at each step; biases and scales are left alone."""


class SGDSpec(_Scheduled):
    """Stochastic gradient descent with momentum."""

    type: Literal["sgd"] = "sgd"
    learning_rate: PositiveFloat = 0.01
    momentum: Momentum = 0.9
    nesterov: bool = False
    """Whether the gradient is looked at where momentum leads."""
    weight_decay: NonNegativeFloat = 0.0
    """Share of a weight, times the learning rate, taken off at each step; biases and scales are left alone."""


class LAMBSpec(_Moments):
    """Adam with a rate of its own per layer, for large batches (arXiv:1904.00962)."""

    type: Literal["lamb"] = "lamb"
    weight_decay: NonNegativeFloat = 0.01
    """Share of a weight, times the learning rate, taken off at each step; biases and scales are left alone."""


class LionSpec(_Scheduled):
    """Steps by the sign of the momentum (arXiv:2302.06675); it wants a small rate and a large decay."""

    type: Literal["lion"] = "lion"
    learning_rate: PositiveFloat = 0.0001
    weight_decay: NonNegativeFloat = 0.1
    """Share of a weight, times the learning rate, taken off at each step; biases and scales are left alone."""
    beta_1: Momentum = 0.9
    beta_2: Momentum = 0.99


OptimizerSpec = Annotated[
    AdamSpec | AdamWSpec | SGDSpec | LAMBSpec | LionSpec, Field(discriminator="type"), default_type("adam")
]
