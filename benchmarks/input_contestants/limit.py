"""The limit: JPEGs already in memory, decoded by threads into one preallocated buffer. Nothing is read or shuffled."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import simplejpeg
from contestant import BATCH, serve


def prepare(shards: Path, scratch: Path, side: int) -> Callable[[int], Iterator[int]]:
    """Loads all encoded pictures."""
    pictures = [data for path in sorted(shards.glob("*.parquet")) for data in pq.read_table(path)["image"].to_pylist()]
    workers = cpu_count() or 1
    pool = ThreadPoolExecutor(workers)

    def decode(chunk: list[bytes], out: np.ndarray) -> None:
        for data, place in zip(chunk, out, strict=True):
            simplejpeg.decode_jpeg(data, "RGB", buffer=place)

    def epoch(number: int) -> Iterator[int]:
        # Large chunks, so that the threads and not their coordination are measured.
        step = BATCH * 8 * workers
        buffer = np.empty((step, side, side, 3), np.uint8)
        for start in range(0, len(pictures), step):
            part = pictures[start : start + step]
            share = -(-len(part) // workers)
            chunks = [part[first : first + share] for first in range(0, len(part), share)]
            places = [
                buffer[first : first + len(chunk)]
                for first, chunk in zip(range(0, len(part), share), chunks, strict=True)
            ]
            list(pool.map(decode, chunks, places))
            yield len(part)

    return epoch


if __name__ == "__main__":
    serve(prepare)
