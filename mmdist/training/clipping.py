"""Clips the gradients of all replicas together. Keras would clip each replica's own before they are summed."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

__all__ = ["reduce_and_clip", "take_reduced_gradients"]


def reduce_and_clip(gradients: Sequence[Any], norm: float) -> list[Any]:
    """The sums over all replicas, scaled so that the norm of all together is at most `norm`. In a replica's context.

    Gradients of embeddings become dense: a token that occurs twice would count as two shorter gradients.

    Ref: arXiv:1211.5063.
    """
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    summed = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, dense)
    clipped, _ = tf.clip_by_global_norm(summed, norm)
    return list(clipped)


def take_reduced_gradients(optimizer: Any) -> None:
    """Makes a Keras optimizer take gradients as sums over all replicas, which it would else sum by itself."""
    optimizer._all_reduce_sum_gradients = list
