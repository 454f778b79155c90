"""Clips the gradients of all replicas together. Keras would clip each replica's own before they are summed."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from mmdist.training.towers import part_of

__all__ = ["Clipping"]

_SMALLEST_NORM = 1e-3
"""What a weight's norm counts as at least: a weight of 0 could never begin to learn."""
_HEAD = "head"


class Clipping:
    """Shortens gradients, after they are summed over all replicas.

    Args:
        norm: Largest norm of all gradients together; None for any. Ref: arXiv:1211.5063.
        adaptive: Largest norm of a unit's gradient, as a share of the norm of its weights; None for any. A unit is
            one output of a kernel, and the whole of a vector. Heads are left alone. It comes before `norm`.
            Ref: arXiv:2102.06171.
    """

    def __init__(self, norm: float | None = None, adaptive: float | None = None) -> None:
        self._norm = norm
        self._adaptive = adaptive

    def prepare(self, optimizer: Any) -> None:
        """Makes a Keras optimizer take gradients as sums over all replicas, which it would else sum by itself."""
        if self._norm is not None or self._adaptive is not None:
            optimizer._all_reduce_sum_gradients = list

    def clip(self, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        """The gradients as the optimizer is to take them. In a replica's context.

        Where anything is clipped, those of embeddings become dense: a token that occurs twice would count as two
        shorter gradients.
        """
        if self._norm is None and self._adaptive is None:
            return list(gradients)
        dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
        summed = list(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, dense))
        if self._adaptive is not None:
            summed = [
                gradient if part_of(variable).endswith(_HEAD) else _shorten(gradient, variable, self._adaptive)
                for gradient, variable in zip(summed, variables, strict=True)
            ]
        if self._norm is not None:
            summed, _ = tf.clip_by_global_norm(summed, self._norm)
        return list(summed)


def _shorten(gradient: Any, variable: Any, share: float) -> Any:
    most = share * tf.maximum(_unit_norms(tf.convert_to_tensor(variable.value)), _SMALLEST_NORM)
    return gradient * tf.minimum(1.0, most / tf.maximum(_unit_norms(gradient), 1e-30))


def _unit_norms(values: Any) -> Any:
    axes = list(range(len(values.shape) - 1)) or None
    return tf.sqrt(tf.reduce_sum(tf.square(values), axis=axes, keepdims=True))
