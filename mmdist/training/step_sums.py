"""What a step counts: the vector that replicas add up in the graph, and what is read from it outside."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from mmdist.training.towers import where_broken

__all__ = ["BROKEN", "StepSums", "broken", "fixed_sums", "read_sums", "with_overflowed"]


class StepSums(NamedTuple):
    """What a step counted, over all replicas and workers."""

    loss_sum: float
    """The task's loss, summed over the rows that count; without penalties."""
    rows: float
    """Rows that count."""
    stop_votes: float
    """Workers that were asked to stop: all learn it from the same step."""
    regroup_votes: float
    """Workers that were asked to make room for a larger group."""
    set_aside: float
    """Places of rows that were quarantined, over all workers."""
    broken: float
    """Replicas whose loss or gradients are not finite. The loss alone does not tell: ReLU turns NaN into 0."""
    overflowed: float = 0.0
    """1 where float16 gradients overflowed: the step was undone, and the loss scale halved. Not a divergence."""
    counts: tuple[float, ...] = ()
    """The task's metrics, by its names, summed over the rows that count."""
    where_broken: str = ""
    """Where a training step stopped being finite, in words; empty where it did not."""


BROKEN = StepSums._fields.index("broken")
"""Its place in the vector."""


def read_sums(vector: Any, *, metrics: int, towers: Sequence[str], parts: Sequence[str]) -> StepSums:
    """Waits for a step's vector, float32.

    Args:
        vector: What the fields of `StepSums` begin with, the task's metrics, and a flag of each tower's output that is
            not finite; of a training step, also a flag of each part's gradient.
        metrics: How many the task has.
        towers: Their names.
        parts: Names of the parts that have gradients.
    """
    numbers = tuple(float(value) for value in vector.numpy())
    first = len(StepSums._fields) - 2
    counts, flags = numbers[first : first + metrics], numbers[first + metrics :]
    sums = StepSums._make((*numbers[:first], counts, ""))
    if not sums.broken:
        return sums
    outputs = [name for name, flag in zip(towers, flags, strict=False) if flag]
    gradients = [name for name, flag in zip(parts, flags[len(towers) :], strict=False) if flag]
    return sums._replace(where_broken=where_broken(outputs, gradients, parts))


def fixed_sums(inputs: dict[str, Any], loss_sum: Any, health: Any) -> Any:
    """One replica's part of what `StepSums` begins with; `health` is finite where all is well."""
    return tf.stack([loss_sum, tf.reduce_sum(inputs["mask"]), *tf.unstack(inputs["said"]), broken(health)])


def broken(sums: Any) -> Any:
    """1 for each of the sums, float32 (n,), that is not finite, else 0."""
    return 1.0 - tf.cast(tf.math.is_finite(sums), tf.float32)


def with_overflowed(sums: Any, overflowed: Any) -> Any:
    """A step's sums, and 1 where it overflowed."""
    return tf.concat([sums[: BROKEN + 1], overflowed[None], sums[BROKEN + 1 :]], axis=0)
