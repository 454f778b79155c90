"""What every tower, fusion and head is made with: seeds, penalties, dropout and the stand-in of an absent modality."""

import hashlib
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from mmdist.spec.model import RegularizationSpec

__all__ = ["ReplicaDropout", "StandIn", "TowerOutput", "glorot", "kernel_penalty", "seed_for"]

# B batch, T tokens, D width


class TowerOutput(NamedTuple):
    """What a tower makes of its modality.

    Attributes:
        tokens: float (B, T, D), one vector per place in the picture or word of the text.
        token_mask: bool (B, T), True where a token stands for something; all False in rows without the modality.
        pooled: float (B, D'), one vector per row; the learned stand-in in rows without the modality.
    """

    tokens: Any
    token_mask: Any
    pooled: Any


def seed_for(seed: int, name: str) -> int:
    """A seed of 31 bits for one named use: it hashes both, so that neighbouring job seeds share nothing."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1


def glorot(seed: int, name: str) -> Any:
    """Keras's default kernel initializer, drawn from the job's seed and the layer's name."""
    return keras.initializers.GlorotUniform(seed=seed_for(seed, f"kernel/{name}"))


def kernel_penalty(spec: RegularizationSpec) -> Any:
    """The penalty on a kernel; None where the job asks for none."""
    return keras.regularizers.L1L2(l1=spec.l1, l2=spec.l2) if spec.l1 or spec.l2 else None


class ReplicaDropout(keras.layers.Layer):
    """Dropout whose masks differ between the replicas of a strategy.

    Keras's own keeps one seed generator per replica, all in the same state: row i of every replica would lose
    the same units. Here the replica's number is part of the seed, and the state stays alike on all replicas, so
    that a checkpoint holds it once.
    """

    def __init__(self, rate: float, *, seed: int, name: str) -> None:
        super().__init__(name=name)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(seed_for(seed, f"dropout/{name}"))

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Inputs float (B, D); the same shape, in training with a share of the units zero and the rest scaled up."""
        if not training or self.rate == 0.0:
            return inputs
        context = tf.distribute.get_replica_context()
        replica = 0 if context is None else context.replica_id_in_sync_group
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        # The state is (drawn at the start, number of draws): the replica goes to the part that does not count.
        seed = seed + tf.stack([tf.cast(replica, tf.int32) * 0x3C6EF372, 0])
        return tf.nn.experimental.stateless_dropout(inputs, rate=self.rate, seed=seed)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the inputs."""
        return input_shape


class StandIn(keras.layers.Layer):
    """Puts one learned vector where a row has no picture or no text."""

    def __init__(self, width: int) -> None:
        super().__init__(name="stand_in")
        self.vector_D = self.add_weight(shape=(width,), initializer="zeros", name="vector")

    def call(self, pooled_BD: Any, present_B: Any) -> Any:
        """pooled float (B, D) where present bool (B,), else the learned vector."""
        return keras.ops.where(present_B[:, None], pooled_BD, self.vector_D[None, :])
