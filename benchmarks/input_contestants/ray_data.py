"""Ray Data: read_parquet, pictures decoded by simplejpeg in map_batches, iter_tf_batches with a local shuffle."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import ray
import simplejpeg
from contestant import BATCH, serve


def prepare(shards: Path, scratch: Path, side: int) -> Callable[[int], Iterator[int]]:
    """Starts a Ray of its own on this machine."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=2**31,
        _temp_dir=tempfile.mkdtemp(prefix="rayd-"),
    )
    ray.data.DataContext.get_current().enable_progress_bars = False

    def decode(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        images = np.empty((len(batch["image"]), side, side, 3), np.uint8)
        for data, place in zip(batch["image"], images, strict=True):
            simplejpeg.decode_jpeg(data, "RGB", buffer=place)
        return {"image": images}

    def epoch(number: int) -> Iterator[int]:
        data = ray.data.read_parquet(
            [str(path) for path in sorted(shards.glob("*.parquet"))], columns=["image"], shuffle="files"
        )
        data = data.map_batches(decode, batch_size=256)
        for batch in data.iter_tf_batches(batch_size=BATCH, prefetch_batches=2, local_shuffle_buffer_size=2_000):
            yield int(batch["image"].shape[0])

    return epoch


if __name__ == "__main__":
    serve(prepare)
