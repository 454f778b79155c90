"""Two towers, one space: a row's picture and text are told from those of all other rows of the batch, both ways."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmdist.errors import JobFileError, Place
from mmdist.models.fusion import Fuse
from mmdist.models.fusion.presence import present_of
from mmdist.models.layers import TowerOutput, kernel_penalty
from mmdist.models.seeds import glorot
from mmdist.models.tasks.base import Task, Tensors
from mmdist.spec.model import RegularizationSpec
from mmdist.spec.task import RetrievalSpec
from mmdist.spec.task.retrieval import LEAST_TEMPERATURE

__all__ = ["RetrievalTask", "SharedSpace"]

# B rows of this replica, R rows of all replicas, T tokens of a text, D width

_NEVER = -1e9
_LEAST_SQUARE = 1e-4
"""Added to a square before it divides: a tower may find nothing (0), and a hair more must not become a direction."""
_MOST_LOG_SCALE = -math.log(LEAST_TEMPERATURE)
_BITS = 21
"""Of a text's hash, in a float32, which holds whole numbers of 24 bits exactly."""
_PARTS = 3


class SharedSpace(keras.layers.Layer):
    """Projects what two towers have found to vectors of one length, and holds the temperature.

    Args:
        spec: Width and first temperature.
        regularization: Penalties on the projections.
        seed: The job's seed.
    """

    def __init__(self, spec: RetrievalSpec, *, regularization: RegularizationSpec, seed: int) -> None:
        # Cosines of half floats would tie, and a softmax over them loses rows.
        super().__init__(name="shared_space", dtype="float32")
        self.image, self.text = (
            keras.layers.Dense(
                spec.width,
                use_bias=False,
                kernel_initializer=glorot(seed, f"{modality}_projection"),
                kernel_regularizer=kernel_penalty(regularization),
                dtype="float32",
                name=modality,
            )
            for modality in ("image", "text")
        )
        self.log_scale = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(-math.log(spec.temperature)), name="log_scale"
        )

    def call(self, image_BD: Any, text_BD: Any) -> tuple[Any, Any, Any]:
        """Pooled vectors of the towers: unit vectors float32 (B, D) of each, and the scale of cosines float32 (B,)."""
        # The gradient passes where the scale is held at 100, so that it can come down again.
        held = keras.ops.minimum(self.log_scale, _MOST_LOG_SCALE)
        log_scale = self.log_scale + keras.ops.stop_gradient(held - self.log_scale)
        image_BD, text_BD = _unit(self.image(image_BD)), _unit(self.text(text_BD))
        return image_BD, text_BD, keras.ops.exp(log_scale) * keras.ops.ones_like(image_BD[:, 0])


class RetrievalTask(Task):
    """Finds the text of a picture and the picture of a text.

    Outputs: `image_embedding` and `text_embedding`, float32 (B, D) of a length of nearly 1; `image_present` and
    `text_present`, float32 (B,); `scale`, float32 (B,), the reciprocal of the temperature. Answers: all of these but
    the scale, the vectors at a length of just 1.

    The loss of a row is the mean of two cross-entropies, of its text among all texts and of its picture among all
    pictures (InfoNCE, arXiv:1807.03748; arXiv:2103.00020). All are those of the rows of all replicas that have both.
    Other rows with the same text are neither right nor wrong. A row without a picture or a text has no loss, and the
    others weigh so much more that the mean over a batch is that over its pairs.

    Args:
        spec: Width and first temperature.
        regularization: Penalties on the projections.
        seed: The job's seed.
    """

    def __init__(self, spec: RetrievalSpec, *, regularization: RegularizationSpec, seed: int) -> None:
        self.metrics = tuple(spec.metrics)
        self._spec = spec
        self._regularization = regularization
        self._seed = seed

    def connect(self, inputs: Tensors, towers: Mapping[str, TowerOutput], fuse: Fuse) -> dict[str, Any]:
        """Both towers' pooled vectors in one space.

        Raises:
            JobFileError: where there are not the towers of pictures and of texts.
        """
        if set(towers) != {"image", "text"}:
            raise JobFileError(
                "retrieval compares pictures with texts",
                expected="`image` and `text`",
                received=", ".join(towers),
                place=Place(key="data.columns"),
            )
        image, text = towers["image"], towers["text"]
        space = SharedSpace(self._spec, regularization=self._regularization, seed=self._seed)
        image_BD, text_BD, scale_B = space(image.pooled, text.pooled)
        present_B2 = keras.ops.cast(present_of([image, text]), "float32")
        return {
            "image_embedding": image_BD,
            "text_embedding": text_BD,
            "image_present": present_B2[:, 0],
            "text_present": present_B2[:, 1],
            "scale": scale_B,
        }

    def across_replicas(self, outputs: Tensors, inputs: Tensors) -> dict[str, Any]:
        """Further `image_logits` and `text_logits`, float32 (B, R), of each row's picture for all texts and of its
        text for all pictures; `own`, int32 (B,), the row's number among all; `weight`, float32 (B,), of its loss.
        """
        image_BD, text_BD = outputs["image_embedding"], outputs["text_embedding"]
        mask_B = inputs["mask"]
        pair_B = outputs["image_present"] * outputs["text_present"] * mask_B
        hash_BP = _text_hash(inputs["text"])
        context = tf.distribute.get_replica_context()
        # One tensor, for the gradient of several gathered together fails where their shapes differ.
        gathered = context.all_gather(
            tf.concat([image_BD, text_BD, hash_BP, pair_B[:, None], mask_B[:, None]], axis=1), axis=0
        )
        image_RD, text_RD, hash_RP, pair_R1, mask_R1 = tf.split(
            gathered, [self._spec.width, self._spec.width, _PARTS, 1, 1], axis=1
        )
        rows = tf.shape(image_BD)[0]
        own_B = tf.cast(context.replica_id_in_sync_group, tf.int32) * rows + tf.range(rows)
        is_own_BR = own_B[:, None] == tf.range(tf.shape(image_RD)[0])[None, :]
        is_same_BR = tf.reduce_all(hash_BP[:, None, :] == hash_RP[None, :, :], axis=2)
        counts_BR = (tf.transpose(pair_R1) > 0) & (is_own_BR | ~is_same_BR)
        image_BR, text_BR = (
            tf.where(counts_BR, outputs["scale"][:, None] * tf.matmul(asked, found, transpose_b=True), _NEVER)
            for asked, found in ((image_BD, text_RD), (text_BD, image_RD))
        )
        weight = tf.reduce_sum(mask_R1) / tf.maximum(tf.reduce_sum(pair_R1), 1.0)
        return {
            **outputs,
            "image_logits": image_BR,
            "text_logits": text_BR,
            "own": own_B,
            "weight": weight * pair_B,
        }

    def row_losses(self, outputs: Tensors, inputs: Tensors) -> Any:
        """The mean of both cross-entropies; needs what `across_replicas` gives."""
        losses = [
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=outputs["own"], logits=outputs[name])
            for name in ("image_logits", "text_logits")
        ]
        # A row that is no pair is not among those that it could be found in: its own loss means nothing.
        losses_B = tf.where(outputs["weight"] > 0, 0.5 * (losses[0] + losses[1]), 0.0)
        return outputs["weight"] * losses_B

    def row_metrics(self, outputs: Tensors, inputs: Tensors) -> tuple[Any, ...]:
        """How often the row's own is nearest: 0, 0.5 or 1 of both ways. A tie is lost."""
        found_B = tf.zeros_like(outputs["weight"])
        for name in ("image_logits", "text_logits"):
            logits_BR = outputs[name]
            own_B1 = tf.gather(logits_BR, outputs["own"][:, None], axis=1, batch_dims=1)
            before_B = tf.reduce_sum(tf.cast(logits_BR >= own_B1, tf.int32), axis=1)
            found_B += 0.5 * tf.cast(before_B == 1, tf.float32)
        return (outputs["weight"] * found_B,)

    def answers(self, outputs: Tensors) -> dict[str, Any]:
        """The vectors at a length of just 1, and which of them are of something."""
        found = {name: outputs[name] for name in ("image_present", "text_present")}
        for name in ("image_embedding", "text_embedding"):
            found[name] = tf.math.l2_normalize(outputs[name], axis=1)
        return found


def _unit(vectors_BD: Any) -> Any:
    """The vectors float (B, D) at a length of nearly 1; those that are nearly 0 stay so."""
    squares_B1 = keras.ops.sum(keras.ops.square(vectors_BD), axis=-1, keepdims=True)
    return vectors_BD * keras.ops.rsqrt(squares_B1 + _LEAST_SQUARE)


def _text_hash(text_BT: Any) -> Any:
    """float32 (B, 3): 63 bits of a text's tokens, which no two texts share but by a chance of 1 in 2^63."""
    random = np.random.Generator(np.random.Philox(0))
    weights_T = random.integers(-(2**63), 2**63, size=int(text_BT.shape[1]), dtype=np.int64)
    sum_B = tf.reduce_sum(tf.cast(text_BT, tf.int64) * tf.constant(weights_T), axis=1)
    low_bits = tf.constant(2**_BITS - 1, tf.int64)
    parts = [
        tf.bitwise.bitwise_and(tf.bitwise.right_shift(sum_B, tf.constant(_BITS * part, tf.int64)), low_bits)
        for part in range(_PARTS)
    ]
    return tf.cast(tf.stack(parts, axis=1), tf.float32)
