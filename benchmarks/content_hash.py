"""What does the content ledger cost per row, and as a share of decoding the same pictures?

    python benchmarks/content_hash.py

Rows have a picture of 2.9 KB (a 64x64 JPEG), an id, a text of 40 characters and a label. Hashing and the decode loop
of one thread take turns over the same row group. Measured on 2 cores with other work on them: 0.8 to 1.9 microseconds a
row in row groups of 250 and more, 1.6 to 3.1% of the decode loop beside it; in tables of 64 rows 7%, since each call
has a fixed cost: hash row groups, not batches.
"""

import statistics
import time

import numpy as np
import pyarrow as pa
import simplejpeg

from mmdist.data.content import row_hashes, stored_columns, weighted_sums

ROUNDS = 15
PICTURE_BYTES = 2900


def picture(draw: np.random.Generator) -> bytes:
    """A 64x64 JPEG of about `PICTURE_BYTES` bytes."""
    coarse = draw.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    smooth = np.ascontiguousarray(coarse.repeat(4, axis=0).repeat(4, axis=1))
    return min(
        (simplejpeg.encode_jpeg(smooth, quality=quality) for quality in range(50, 96, 5)),
        key=lambda data: abs(len(data) - PICTURE_BYTES),
    )


def row_group(rows: int) -> pa.Table:
    """A row group as importing writes it."""
    draw = np.random.default_rng(0)
    return pa.table(
        {
            "id": [f"row-{number:08d}" for number in range(rows)],
            "image": pa.array([picture(draw) for _ in range(rows)], pa.binary()),
            "text": [f"grinning face with smiling eyes {number:8d}" for number in range(rows)],
            "label": [f"label-{number % 8}" for number in range(rows)],
        }
    )


def hash_ns(table: pa.Table) -> float:
    """Nanoseconds per row to hash a row group and weigh its sums."""
    positions = np.arange(table.num_rows)
    groups = np.zeros(table.num_rows, np.int64)
    start = time.perf_counter_ns()
    weighted_sums(row_hashes(table, stored_columns(table.column_names), positions=positions), groups)
    return (time.perf_counter_ns() - start) / table.num_rows


def decode_ns(pictures: list[bytes], out: np.ndarray) -> float:
    """Nanoseconds per row to decode pictures that are in memory, in one thread."""
    start = time.perf_counter_ns()
    for number, data in enumerate(pictures):
        simplejpeg.decode_jpeg(data, buffer=out[number])
    return (time.perf_counter_ns() - start) / len(pictures)


def main() -> None:
    """Prints a line per row-group size."""
    print("| rows | hash | decode, one thread | hash / decode, paired |")
    print("| --- | --- | --- | --- |")
    for rows in (64, 250, 1000, 4000):
        table = row_group(rows)
        pictures = table["image"].to_pylist()
        out = np.empty((rows, 64, 64, 3), np.uint8)
        pairs = [(hash_ns(table), decode_ns(pictures, out)) for _ in range(ROUNDS)]
        hashing, decoding = (statistics.median(values) for values in zip(*pairs, strict=True))
        share = statistics.median(one / other for one, other in pairs)
        print(f"| {rows} | {hashing:.0f} ns | {decoding:.0f} ns | {share:.1%} |")


if __name__ == "__main__":
    main()
