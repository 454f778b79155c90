"""Optimizers and schedules: the one place that turns their specs into Keras's."""

from collections.abc import Sequence
from typing import Any, assert_never

import keras

from mmdist.spec.optimizer import (
    AdamSpec,
    AdamWSpec,
    CosineSpec,
    LAMBSpec,
    LionSpec,
    OptimizerSpec,
    PlateauSpec,
    SGDSpec,
    StepSpec,
)
from mmdist.spec.train import TrainSpec

__all__ = ["build_optimizer", "learning_rate"]


def build_optimizer(train: TrainSpec, variables: Sequence[Any], *, rows: int) -> Any:
    """The Keras optimizer of a training, built for its variables. Under the strategy.

    Args:
        train: Chooses the optimizer and its schedule.
        variables: The model's trainable variables. Those of one dimension (biases, scales, stand-ins) do not decay.
        rows: Rows of the training split, which say how many steps an epoch has.
    """
    spec = train.optimizer
    optimizer = _optimizer(spec, learning_rate(train, rows=rows))
    if getattr(spec, "weight_decay", 0.0):
        optimizer.exclude_from_weight_decay(var_list=[each for each in variables if len(each.shape) < 2])
    optimizer.build(variables)
    return optimizer


def learning_rate(train: TrainSpec, *, rows: int) -> Any:
    """The learning rate: a float, or a Keras schedule from the number of steps done."""
    spec, steps = train.optimizer, -(-rows // train.global_batch_size)
    match spec.schedule:
        case None | PlateauSpec():  # a plateau lowers it from outside
            return spec.learning_rate
        case CosineSpec() as cosine:
            rising = round(cosine.warmup_epochs * steps)
            return keras.optimizers.schedules.CosineDecay(
                # The first step counts as one of the rising ones, instead of being taken at a rate of 0.
                spec.learning_rate / (rising + 1) if rising else spec.learning_rate,
                max(train.epochs * steps - rising, 1),
                alpha=cosine.final_share,
                warmup_target=spec.learning_rate if rising else None,
                warmup_steps=rising,
            )
        case StepSpec() as step:
            return keras.optimizers.schedules.ExponentialDecay(
                spec.learning_rate, step.every_epochs * steps, step.factor, staircase=True
            )
        case _:
            assert_never(spec.schedule)


def _optimizer(spec: OptimizerSpec, rate: Any) -> Any:
    optimizers = keras.optimizers
    match spec:
        case AdamSpec():
            return optimizers.Adam(rate, beta_1=spec.beta_1, beta_2=spec.beta_2, epsilon=spec.epsilon)
        case AdamWSpec():
            return optimizers.AdamW(
                rate, spec.weight_decay, beta_1=spec.beta_1, beta_2=spec.beta_2, epsilon=spec.epsilon
            )
        case SGDSpec():
            decay = spec.weight_decay or None
            return optimizers.SGD(rate, momentum=spec.momentum, nesterov=spec.nesterov, weight_decay=decay)
        case LAMBSpec():
            return optimizers.Lamb(
                rate, beta_1=spec.beta_1, beta_2=spec.beta_2, epsilon=spec.epsilon, weight_decay=spec.weight_decay
            )
        case LionSpec():
            return optimizers.Lion(rate, beta_1=spec.beta_1, beta_2=spec.beta_2, weight_decay=spec.weight_decay)
        case _:
            assert_never(spec)
