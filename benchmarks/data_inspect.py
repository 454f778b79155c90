"""How fast does `mmdist data inspect` look through a dataset? Rows per second, for JPEG and PNG pictures of 64 x 64.

The rows are made up: smooth colors, 20 words, 10 labels; 80% train, 10% validation, 10% test. Ten rows show the same
pixels, with other bytes behind them, so that writing the dataset does not take longer than the measurement.
Run: python benchmarks/data_inspect.py [ROWS]
"""

import io
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mmdist.data.inspection import inspect_dataset

ROUNDS = 3
SIDE = 64
WORDS = [f"word{number}" for number in range(500)]
SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
ROWS_PER_GROUP = 250
GROUPS_PER_SHARD = 40


def made_up_pictures(count: int, kind: str) -> list[bytes]:
    """Encoded pictures, each unlike the others."""
    draw = np.random.default_rng(0)
    pictures = []
    for _ in range(count):
        coarse = draw.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        sink = io.BytesIO()
        Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(sink, kind)
        pictures.append(sink.getvalue())
    return pictures


def write_dataset(folder: Path, rows: int, kind: str) -> None:
    """Writes the three splits, each row with a picture of its own bytes."""
    draw = np.random.default_rng(1)
    pictures = made_up_pictures(rows // 10, kind)
    for split, share in SHARES.items():
        (folder / split).mkdir(parents=True)
        numbers = range(int(rows * share))
        step = ROWS_PER_GROUP * GROUPS_PER_SHARD
        for shard, start in enumerate(range(0, len(numbers), step)):
            part = numbers[start : start + step]
            table = pa.table(
                {
                    "id": [f"{split}-{number}" for number in part],
                    # Bytes after a picture's end are ignored, and make it another one to the content hash.
                    "image": [pictures[number % len(pictures)] + f"{split}{number}".encode() for number in part],
                    "text": [" ".join(words) for words in draw.choice(WORDS, (len(part), 20))],
                    "label": [f"label-{number}" for number in draw.integers(0, 10, len(part))],
                }
            )
            pq.write_table(
                table,
                folder / split / f"part-{shard:05d}.parquet",
                row_group_size=ROWS_PER_GROUP,
                write_page_checksum=True,
            )


def main() -> None:
    """Prints one line per kind of picture."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for kind in ("JPEG", "PNG"):
        with tempfile.TemporaryDirectory() as name:
            write_dataset(Path(name), rows, kind)
            walls, cpus = [], []
            for _ in range(ROUNDS):
                wall_s, cpu_s = time.perf_counter(), time.process_time()
                facts = inspect_dataset(name).facts
                walls.append(time.perf_counter() - wall_s)
                cpus.append(time.process_time() - cpu_s)
            decoded = sum(split["pictures_decoded"] for split in facts["splits"].values())
            wall_s, cpu_s = statistics.median(walls), statistics.median(cpus)
            print(
                f"{kind}: {rows:,} rows in {wall_s:.1f} s, {rows / wall_s:,.0f} rows/s;"
                f" {rows / cpu_s:,.0f} rows per CPU second; {decoded:,} pictures decoded"
            )


if __name__ == "__main__":
    main()
