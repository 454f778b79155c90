"""TensorFlow's own decoding of pictures already in memory: tf.data batches, decoded by map_fn. Nothing is read."""

from collections.abc import Callable, Iterator
from os import cpu_count
from pathlib import Path

import pyarrow.parquet as pq
import tensorflow as tf
from contestant import BATCH, serve
from tf_pictures import decoder, without_autotune


def prepare(shards: Path, scratch: Path, side: int) -> Callable[[int], Iterator[int]]:
    """Loads all encoded pictures into a tensor."""
    pictures = tf.constant(
        [data for path in sorted(shards.glob("*.parquet")) for data in pq.read_table(path)["image"].to_pylist()]
    )

    data = tf.data.Dataset.from_tensor_slices(pictures).batch(BATCH)
    data = without_autotune(data.map(decoder(side), num_parallel_calls=cpu_count()))

    def epoch(number: int) -> Iterator[int]:
        for batch in data:
            yield int(batch.shape[0])

    return epoch


if __name__ == "__main__":
    serve(prepare)
