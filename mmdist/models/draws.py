"""Random numbers inside a model: drawn for the batch of all replicas, of which each takes those of its own rows."""

from typing import Any

import keras
import tensorflow as tf

from mmdist.models.seeds import seed_for

__all__ = ["Dropout", "RandomLayer", "StochasticDepth", "depth_rates"]

# B rows of this replica, of a batch that all replicas share equally

_BLOCK = 4
"""Numbers that one step of Philox's counter makes."""
_PHILOX = 1


class RandomLayer(keras.layers.Layer):
    """A layer that draws random numbers which do not depend on how many replicas share a batch.

    Keras's own layers keep one seed generator per replica, all in the same state: row i of every replica would draw
    the same numbers, and one replica others than two. Here the numbers of the whole batch are one sequence, which a
    counter can enter at any row (Philox, doi:10.1145/2063384.2063405). The state stays alike on all replicas, so that
    a checkpoint holds it once.

    Args:
        seed: The job's seed.
        name: Of the layer, unique in its model: it makes the layer's own seed.
    """

    def __init__(self, *, seed: int, name: str) -> None:
        super().__init__(name=name)
        self.seed_generator = keras.random.SeedGenerator(seed_for(seed, f"dropout/{name}"))

    def draw(self, shape: Any) -> Any:
        """New uniform numbers in [0, 1): float32 of the shape (B, ...), those of this replica's rows. One per step."""
        shape = tf.convert_to_tensor(shape, tf.int32)
        width = tf.reduce_prod(shape[1:])
        blocks = (width + _BLOCK - 1) // _BLOCK
        context = tf.distribute.get_replica_context()
        replica = 0 if context is None else context.replica_id_in_sync_group
        first = tf.cast(replica, tf.uint64) * tf.cast(shape[0] * blocks, tf.uint64)
        key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=tf.cast(self.seed_generator.next(), tf.int32))
        numbers = tf.raw_ops.StatelessRandomUniformV2(
            shape=tf.stack([shape[0], blocks * _BLOCK]),
            key=key,
            counter=counter + tf.stack([first, tf.zeros_like(first)]),
            alg=_PHILOX,
        )
        return tf.reshape(numbers[:, :width], shape)


class Dropout(RandomLayer):
    """Sets a share of the units to zero in training, and scales the others up. Ref: arXiv:1207.0580.

    Args:
        rate: Share of the units, in [0, 1).
        seed: The job's seed.
        name: Of the layer, unique in its model.
    """

    def __init__(self, rate: float, *, seed: int, name: str) -> None:
        super().__init__(seed=seed, name=name)
        self.rate = rate

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Inputs float (B, ...): the same shape."""
        if not training or self.rate == 0.0:
            return inputs
        kept = self.draw(tf.shape(inputs)) >= self.rate
        return tf.where(kept, inputs / (1.0 - self.rate), tf.zeros_like(inputs))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the inputs."""
        return input_shape


class StochasticDepth(RandomLayer):
    """Leaves a residual block's branch out for a share of the rows in training, and scales it up for the others.

    Ref: arXiv:1603.09382.

    Args:
        rate: Share of the rows, in [0, 1).
        seed: The job's seed.
        name: Of the layer, unique in its model.
    """

    def __init__(self, rate: float, *, seed: int, name: str) -> None:
        super().__init__(seed=seed, name=name)
        self.rate = rate

    def call(self, branch: Any, training: bool = False) -> Any:
        """The branch's output float (B, ...): the same shape."""
        if not training or self.rate == 0.0:
            return branch
        kept = self.draw([tf.shape(branch)[0], *[1] * (len(branch.shape) - 1)]) >= self.rate
        return tf.where(kept, branch / (1.0 - self.rate), tf.zeros_like(branch))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the branch."""
        return input_shape


def depth_rates(last: float, blocks: int) -> list[float]:
    """The rate of each block: none at the first, rising in a line to the last."""
    return [last * number / max(blocks - 1, 1) for number in range(blocks)]
