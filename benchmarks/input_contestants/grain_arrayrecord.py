"""Grain: ArrayRecord files read at random, a global shuffle, pictures decoded by simplejpeg in its threads."""

from collections.abc import Callable, Iterator
from pathlib import Path

import grain.python as pygrain
import pyarrow.parquet as pq
import simplejpeg
from array_record.python.array_record_module import ArrayRecordWriter
from contestant import BATCH, serve


def prepare(shards: Path, scratch: Path, side: int) -> Callable[[int], Iterator[int]]:
    """Converts the shards, unless that was done."""
    folder = scratch / "arrayrecord"
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(shards.glob("*.parquet")):
        target = folder / f"{path.stem}.array_record"
        if target.exists():
            continue
        writer = ArrayRecordWriter(str(target), "group_size:1")
        for data in pq.read_table(path)["image"].to_pylist():
            writer.write(data)
        writer.close()
    source = pygrain.ArrayRecordDataSource([str(path) for path in sorted(folder.glob("*.array_record"))])

    def epoch(number: int) -> Iterator[int]:
        data = pygrain.MapDataset.source(source).shuffle(seed=number)
        data = data.map(lambda record: simplejpeg.decode_jpeg(record, "RGB"))
        batches = data.to_iter_dataset(pygrain.ReadOptions(num_threads=16, prefetch_buffer_size=500)).batch(BATCH)
        for batch in batches:
            yield int(batch.shape[0])

    return epoch


if __name__ == "__main__":
    serve(prepare)
