"""One replica's gradients: of all its rows at once, or of several parts of them, one part after the other."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

__all__ = ["gradients_in_parts"]

Compute = Callable[[dict[str, Any]], tuple[list[Any], Any]]


def gradients_in_parts(compute: Compute, inputs: Mapping[str, Any], parts: int) -> tuple[list[Any], Any]:
    """Gradients, and numbers that go with them, added up over parts of the rows. In a replica's context.

    Part k has the rows k, k + parts, k + 2 * parts, ... Replicas have equal and contiguous shares of a batch, so that
    a part is the same rows, in the same order, however many replicas there are: what is drawn for a part (dropout)
    does not depend on them either. Rows that pad a short batch are shared out to all parts alike.

    Args:
        compute: Gradients and float32 numbers (n,) of some rows.
        inputs: Tensors (rows, ...).
        parts: Divides the rows.
    """
    gradients, numbers = compute(_rows(inputs, 0, parts))
    if parts == 1:
        return gradients, numbers
    gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    for part in range(1, parts):
        # One after the other, so that the activations of one part alone are in memory.
        with tf.control_dependencies([*gradients, numbers]):
            rows = _rows(inputs, part, parts)
        more, more_numbers = compute(rows)
        gradients = [old + tf.convert_to_tensor(new) for old, new in zip(gradients, more, strict=True)]
        numbers += more_numbers
    return gradients, numbers


def _rows(inputs: Mapping[str, Any], part: int, parts: int) -> dict[str, Any]:
    if parts == 1:
        return dict(inputs)
    return {name: tf.identity(tensor)[part::parts] for name, tensor in inputs.items()}
