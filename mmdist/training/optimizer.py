"""Optimizers: the one place that turns a spec into one."""

from typing import Any, assert_never

import keras

from mmdist.spec.train import AdamSpec, OptimizerSpec

__all__ = ["build_optimizer"]


def build_optimizer(spec: OptimizerSpec) -> Any:
    """The Keras optimizer that the spec's `type` names."""
    match spec:
        case AdamSpec():
            return keras.optimizers.Adam(
                learning_rate=spec.learning_rate, beta_1=spec.beta_1, beta_2=spec.beta_2, epsilon=spec.epsilon
            )
        case _:
            assert_never(spec)
