"""Losses beside the task's: a head per modality, and modalities that are to know each other.

They are part of what training minimizes, as penalties are, and not of the loss that is reported.
"""

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import keras
import tensorflow as tf

from mmdist.errors import JobFileError, Place
from mmdist.models.fusion import Fuse
from mmdist.models.fusion.presence import present_of
from mmdist.models.layers import TowerOutput
from mmdist.models.seeds import glorot
from mmdist.models.tasks import HeadTask, Task
from mmdist.spec.model import AlignmentSpec, AuxiliarySpec

__all__ = ["auxiliary_losses", "auxiliary_outputs"]

# B rows of this replica, R rows of all replicas, D width

_NEVER = -1e9
_LEAST_SQUARE = 1e-2
"""Added to a square before it divides: a tower may find nothing (0), and a hair more must not become a direction."""

Tensors = Mapping[str, Any]


def auxiliary_outputs(
    spec: AuxiliarySpec, task: Task, towers: Mapping[str, TowerOutput], fuse: Fuse, *, seed: int
) -> dict[str, Any]:
    """What the auxiliary losses are made of, as outputs of the model named `MODALITY/OUTPUT`; mostly none.

    Raises:
        JobFileError: where the task has no head that a modality could have for itself.
    """
    outputs: dict[str, Any] = {}
    if spec.per_modality and not isinstance(task, HeadTask):
        raise JobFileError(
            "this task has no head that each modality could have for itself",
            expected="0",
            received=f"{spec.per_modality:g}",
            place=Place(key="model.auxiliary.per_modality"),
        )
    for name, tower in towers.items():
        if spec.per_modality and isinstance(task, HeadTask):
            outputs |= {f"{name}/{key}": value for key, value in task.connect_alone(name, tower, fuse).items()}
        if spec.alignment is not None:
            layer = keras.layers.Dense(
                spec.alignment.width,
                kernel_initializer=glorot(seed, f"alignment_{name}"),
                dtype="float32",
                name=f"alignment_{name}",
            )
            outputs[f"{name}/aligned"] = _unit(layer(tower.pooled))
        if spec.per_modality or spec.alignment is not None:
            outputs[f"{name}/present"] = keras.ops.cast(present_of([tower])[:, 0], "float32")
    return outputs


def auxiliary_losses(
    spec: AuxiliarySpec, outputs: Tensors, inputs: Tensors, loss_alone: Callable[[str, Tensors], Any]
) -> Any:
    """What is added to the loss of each row of this replica, float32 (B,); 0 where a row lacks what it is about.

    Args:
        spec: Which losses, and their weights.
        outputs: The model's, those of `auxiliary_outputs` among them.
        inputs: The batch's arrays, `mask` among them: rows where it is 0 are no rows to be told from either.
        loss_alone: From a modality and the outputs of its head to the loss of each row, float32 (B,).
    """
    present = {name.removesuffix("/present"): each for name, each in outputs.items() if name.endswith("/present")}
    total_B = tf.zeros_like(inputs["mask"])
    if spec.per_modality:
        for name, present_B in present.items():
            start = f"{name}/"
            alone = {key.removeprefix(start): value for key, value in outputs.items() if key.startswith(start)}
            total_B += spec.per_modality * present_B * loss_alone(name, alone)
    if spec.alignment is not None:
        pairs = list(combinations(present, 2))
        for one, other in pairs:
            counts_B = present[one] * present[other] * inputs["mask"]
            found_B = _info_nce(outputs[f"{one}/aligned"], outputs[f"{other}/aligned"], counts_B, spec.alignment)
            total_B += spec.alignment.weight / len(pairs) * found_B
    return total_B


def _unit(vectors_BD: Any) -> Any:
    """The vectors float (B, D) at a length of nearly 1; those that are nearly 0 stay so."""
    squares_B1 = keras.ops.sum(keras.ops.square(vectors_BD), axis=-1, keepdims=True)
    return vectors_BD * keras.ops.rsqrt(squares_B1 + _LEAST_SQUARE)


def _info_nce(one_BD: Any, other_BD: Any, counts_B: Any, spec: AlignmentSpec) -> Any:
    """Cross-entropy of finding a row's other vector among those of all rows that count, and the other way round."""
    context = tf.distribute.get_replica_context()
    # Other rows to be told from are those of all replicas: one of 64 rows and two of 32 train alike.
    # One tensor, for the gradient of several gathered together fails where their shapes differ.
    gathered = context.all_gather(tf.concat([one_BD, other_BD, counts_B[:, None]], axis=1), axis=0)
    one_RD, other_RD, counts_R1 = tf.split(gathered, [spec.width, spec.width, 1], axis=1)
    rows = tf.shape(one_BD)[0]
    own_B = tf.cast(context.replica_id_in_sync_group, tf.int32) * rows + tf.range(rows)
    total_B = tf.zeros_like(counts_B)
    for asked_BD, found_RD in ((one_BD, other_RD), (other_BD, one_RD)):
        logits_BR = tf.matmul(asked_BD, found_RD, transpose_b=True) / spec.temperature
        logits_BR = tf.where(tf.transpose(counts_R1) > 0, logits_BR, _NEVER)
        total_B += 0.5 * tf.nn.sparse_softmax_cross_entropy_with_logits(labels=own_B, logits=logits_BR)
    # A row that does not count is not among those that it could be found in: its own loss means nothing.
    return tf.where(counts_B > 0, total_B, 0.0)
