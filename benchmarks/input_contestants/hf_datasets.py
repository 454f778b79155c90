"""Hugging Face datasets: shuffled, pictures decoded by simplejpeg in a transform, to_tf_dataset."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import simplejpeg
from contestant import BATCH, serve
from datasets import load_dataset


def prepare(shards: Path, scratch: Path, side: int) -> Callable[[int], Iterator[int]]:
    """Builds the library's own cache from the shards."""
    files = [str(path) for path in sorted(shards.glob("*.parquet"))]
    data = load_dataset("parquet", data_files=files, split="train", cache_dir=str(scratch / "hf"))
    data = data.select_columns(["image"])

    def decode(rows: dict[str, list[bytes]]) -> dict[str, np.ndarray]:
        images = np.empty((len(rows["image"]), side, side, 3), np.uint8)
        for value, place in zip(rows["image"], images, strict=True):
            simplejpeg.decode_jpeg(value, "RGB", buffer=place)
        return {"image": images}

    def epoch(number: int) -> Iterator[int]:
        # A dataset of its own for each epoch: once the TensorFlow one is gone, the library empties what it came from.
        decoding = data.with_transform(decode)
        for batch in decoding.to_tf_dataset(batch_size=BATCH, shuffle=True, drop_remainder=False, prefetch=True):
            images = batch["image"] if isinstance(batch, dict) else batch
            yield int(images.shape[0])

    return epoch


if __name__ == "__main__":
    serve(prepare)
