"""TFRecord with tf.data: files interleaved, a shuffle buffer, batches parsed and decoded in parallel."""

from collections.abc import Callable, Iterator
from os import cpu_count
from pathlib import Path

import pyarrow.parquet as pq
import tensorflow as tf
from contestant import BATCH, serve
from tf_pictures import decoder, without_autotune


def convert(shards: Path, folder: Path) -> None:
    """Writes one record file per shard, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(shards.glob("*.parquet")):
        target = folder / f"{path.stem}.tfrecord"
        if target.exists():
            continue
        with tf.io.TFRecordWriter(str(target)) as writer:
            for data in pq.read_table(path)["image"].to_pylist():
                feature = {"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))}
                writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


def prepare(shards: Path, scratch: Path, side: int) -> Callable[[int], Iterator[int]]:
    """Converts the shards, and builds the pipeline."""
    convert(shards, scratch / "tfrecord")
    files = tf.data.Dataset.list_files(str(scratch / "tfrecord" / "*.tfrecord"), shuffle=True)

    decode = decoder(side)

    def parse(batch: tf.Tensor) -> tf.Tensor:
        images = tf.io.parse_example(batch, {"image": tf.io.FixedLenFeature((), tf.string)})["image"]
        return decode(images)

    data = files.interleave(tf.data.TFRecordDataset, cycle_length=8, num_parallel_calls=2).shuffle(8_000)
    data = without_autotune(data.batch(BATCH).map(parse, num_parallel_calls=cpu_count()))

    def epoch(number: int) -> Iterator[int]:
        for batch in data:
            yield int(batch.shape[0])

    return epoch


if __name__ == "__main__":
    serve(prepare)
