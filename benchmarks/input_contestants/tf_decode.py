"""TensorFlow's own decoding of pictures already in memory: tf.data batches, decoded by map_fn. Nothing is read."""

from collections.abc import Callable, Iterator
from os import cpu_count
from pathlib import Path

import pyarrow.parquet as pq
import tensorflow as tf
from contestant import BATCH, serve


def prepare(shards: Path, scratch: Path, side: int) -> Callable[[int], Iterator[int]]:
    """Loads all encoded pictures into a tensor."""
    pictures = tf.constant(
        [data for path in sorted(shards.glob("*.parquet")) for data in pq.read_table(path)["image"].to_pylist()]
    )

    def decode(batch: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(
            lambda data: tf.ensure_shape(tf.io.decode_jpeg(data, 3), (side, side, 3)),
            batch,
            fn_output_signature=tf.TensorSpec((side, side, 3), tf.uint8),
        )

    data = tf.data.Dataset.from_tensor_slices(pictures).batch(BATCH).map(decode, num_parallel_calls=cpu_count())
    data = data.prefetch(4)
    options = tf.data.Options()
    options.autotune.enabled = False
    data = data.with_options(options)

    def epoch(number: int) -> Iterator[int]:
        for batch in data:
            yield int(batch.shape[0])

    return epoch


if __name__ == "__main__":
    serve(prepare)
