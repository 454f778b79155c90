"""Makes the picture sets that every contestant reads: JPEGs in Parquet shards, sorted by label, and nothing secret.

Run as a program: `python pictures.py FOLDER NAME ROWS SIDE`. It needs numpy, simplejpeg and pyarrow alone.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg

ROWS_PER_GROUP = 250
SHARDS = 16


def picture(number: int, side: int) -> bytes:
    """A JPEG of quality 90 whose detail falls off with frequency, as in photographs."""
    rng = np.random.default_rng([side, number])
    pixels = np.zeros((side, side, 3))
    for cells in (4, 8, 16, side // 2):
        noise = rng.normal(size=(cells, cells, 3))
        pixels += np.kron(noise, np.ones((side // cells, side // cells, 1))) * 40 / np.log2(cells)
    return simplejpeg.encode_jpeg(np.clip(pixels + 128, 0, 255).astype(np.uint8), quality=90)


def make(folder: Path, rows: int, side: int) -> None:
    """Writes the shards, unless they are there."""
    done = folder / "_DONE"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    per_shard = -(-rows // SHARDS)
    for shard in range(SHARDS):
        numbers = range(shard * per_shard, min((shard + 1) * per_shard, rows))
        table = pa.table(
            {
                "id": [f"{number:07d}" for number in numbers],
                "image": pa.array([picture(number, side) for number in numbers], pa.binary()),
                "label": [f"label-{number * 10 // rows}" for number in numbers],
            }
        )
        pq.write_table(
            table,
            folder / f"part-{shard:05d}.parquet",
            row_group_size=ROWS_PER_GROUP,
            use_dictionary=["label"],
            compression={"id": "zstd", "image": "none", "label": "zstd"},
            write_page_checksum=True,
        )
    done.write_text(f"{rows} rows, {side} x {side}\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
