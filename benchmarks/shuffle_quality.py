"""How well does an order mix? Data sorted by label, in the orders `lanes` and `global`, against a shuffle buffer.

    python benchmarks/shuffle_quality.py

Per order, medians over epochs: the rank correlation of place and stored place (0: none left), the mean length of a run
of one class in the stream, and the mean total variation distance of a batch's labels from the whole. Memory is the rows
that a reader holds. A full permutation is what nothing can beat.
"""

import statistics
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from mmdist.data.order import plan_epoch
from mmdist.spec.data import GlobalOrderSpec, LanesOrderSpec, OrderSpec

ROWS, CLASSES, BATCH, EPOCHS = 40_000, 10, 64, 5
LABELS = np.arange(ROWS) * CLASSES // ROWS
CASES = [
    (group_rows, lanes, window)
    for group_rows in (50, 250, 1000)
    for lanes, window in ((1, 1), (1, 4), (1, 32), (8, 1), (8, 4), (32, 1), (64, 1))
]

Rows = npt.NDArray[np.int64]


def planned(order: OrderSpec, group_rows: int, epoch: int) -> Rows:
    """The stored number of each row, in the order of an epoch."""
    groups = np.full(ROWS // group_rows, group_rows)
    plan = plan_epoch(groups, fingerprint="ab", seed=0, epoch=epoch, global_batch_size=BATCH, order=order)
    parts = [plan.batch_places(batch, range(plan.lanes)) for batch in range(plan.batches)]
    rows = np.concatenate([part.group * group_rows + part.row for part in parts])
    return rows[np.concatenate([part.row for part in parts]) >= 0]


def buffered(size: int, group_rows: int, epoch: int) -> Rows:
    """Row groups in random order through a shuffle buffer of a size."""
    draw = np.random.default_rng(epoch)
    groups = draw.permutation(ROWS // group_rows)

    def stream() -> Iterator[int]:
        held: list[int] = []
        for row in (groups[:, None] * group_rows + np.arange(group_rows)).ravel().tolist():
            held.append(row)
            if len(held) > size:
                place = int(draw.integers(len(held)))
                held[place], held[-1] = held[-1], held[place]
                yield held.pop()
        yield from draw.permutation(held).tolist()

    return np.fromiter(stream(), np.int64, ROWS)


def quality(rows: Rows) -> tuple[float, float, float]:
    """Rank correlation, run length and label distance of an order."""
    correlation = abs(float(np.corrcoef(np.arange(ROWS), rows)[0, 1]))
    labels = LABELS[rows]
    runs = 1 + np.count_nonzero(np.diff(labels))
    batches = labels[: ROWS // BATCH * BATCH].reshape(-1, BATCH)
    shares = np.stack([np.mean(batches == label, axis=1) for label in range(CLASSES)])
    return correlation, ROWS / runs, float(np.mean(np.sum(np.abs(shares - 1 / CLASSES), axis=0) / 2))


def line(name: str, memory_rows: int, epoch_rows: Callable[[int], Rows]) -> None:
    """Prints one row of the table."""
    found = [quality(epoch_rows(epoch)) for epoch in range(EPOCHS)]
    correlation, run, distance = (statistics.median(values) for values in zip(*found, strict=True))
    print(f"| {name} | {memory_rows:,} | {correlation:.3f} | {run:.2f} | {distance:.3f} |", flush=True)


def main() -> None:
    """Prints the table."""
    print(f"{ROWS:,} rows sorted by {CLASSES} labels, batches of {BATCH}")
    print("| order | rows held | rank correlation | run length | label distance |")
    print("| --- | --- | --- | --- | --- |")
    line("as stored", 0, lambda epoch: np.arange(ROWS))
    line("global", 0, lambda epoch: planned(GlobalOrderSpec(), 250, epoch))
    for group_rows, lanes, window in CASES:
        held = group_rows * lanes * window
        order = LanesOrderSpec(lanes=lanes, window=window)
        name = f"{lanes} lane(s), window {window}, row groups of {group_rows}"
        line(name, held, lambda epoch, order=order, group_rows=group_rows: planned(order, group_rows, epoch))
        name = f"shuffle buffer, row groups of {group_rows}"
        line(name, held, lambda epoch, held=held, group_rows=group_rows: buffered(held, group_rows, epoch))


if __name__ == "__main__":
    main()
