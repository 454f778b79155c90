"""How does planning an epoch grow with the dataset? Index load, plan and seek, in time and memory.

Each size runs in a process of its own, on an index of made-up row groups; memory is the growth of the process's peak
above what it held after its imports. Run: python benchmarks/planner_scale.py [ROWS_PER_GROUP]
"""

import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from mmdist.data.index import RowGroupIndex, read_index, write_index
from mmdist.data.order import LanesPlan, plan_epoch
from mmdist.spec.data import GlobalOrderSpec, LanesOrderSpec
from mmdist.storage import open_store

ROWS = (10**5, 10**7, 10**9)
GROUPS_PER_SHARD = 250
GLOBAL_BATCH_SIZE = 256
SEEKS = 50
SCHEMA = pa.schema([("id", pa.string()), ("image", pa.binary()), ("text", pa.string()), ("label", pa.string())])

Facts = dict[str, float]


def made_up_index(rows: int, rows_per_group: int) -> RowGroupIndex:
    """An index of row groups of uneven sizes that sum up to about `rows`."""
    draw = np.random.default_rng(0)
    groups = max(1, rows // rows_per_group)
    shards = -(-groups // GROUPS_PER_SHARD)
    number = np.arange(groups)
    return RowGroupIndex(
        shards=tuple(f"part-{shard:08d}.parquet" for shard in range(shards)),
        shard=(number // GROUPS_PER_SHARD).astype(np.int32),
        row_group=(number % GROUPS_PER_SHARD).astype(np.int32),
        rows=draw.integers(rows_per_group - rows_per_group // 10, rows_per_group + rows_per_group // 10 + 1, groups),
        bytes=draw.integers(1, 10**7, groups),
        content_sums={
            name: draw.integers(0, 2**64, groups, dtype=np.uint64) for name in ("id", "image", "text", "label")
        },
    )


def write_size(folder: str, rows: int, rows_per_group: int, results: "multiprocessing.Queue[Facts]") -> None:
    """Writes the index that `measure` loads."""
    write_index(open_store(folder), made_up_index(rows, rows_per_group), SCHEMA)
    results.put({"index_bytes": open_store(folder).list()[0].size_bytes})


def measure(folder: str, order: str, results: "multiprocessing.Queue[Facts]") -> None:
    """Loads an index, plans an epoch and seeks; puts the facts into the queue."""
    with tempfile.TemporaryDirectory() as warm_up:
        # The first file that pyarrow opens costs what imports do.
        write_index(open_store(warm_up), made_up_index(1000, 1000), SCHEMA)
        read_index(open_store(warm_up))
    before_bytes = peak_bytes()
    index_s, (index, fingerprint) = timed(lambda: read_index(open_store(folder)))
    spec = GlobalOrderSpec() if order == "global" else LanesOrderSpec()
    plan_s, plan = timed(
        lambda: plan_epoch(
            index.rows, fingerprint=fingerprint, seed=0, epoch=0, global_batch_size=GLOBAL_BATCH_SIZE, order=spec
        )
    )
    seeks = []
    for batch in np.random.default_rng(1).integers(0, plan.batches, SEEKS):
        if isinstance(plan, LanesPlan):
            seek_s, _ = timed(
                lambda at=int(batch): [next(plan.lane_windows(lane, at), None) for lane in range(plan.lanes)]
            )
        else:
            seek_s, _ = timed(lambda at=int(batch): plan.batch_places(at, range(plan.lanes)))
        seeks.append(seek_s)
    results.put(
        {
            "rows": plan.rows,
            "groups": len(index),
            "batches": plan.batches,
            "index_s": index_s,
            "plan_s": plan_s,
            "seek_s": statistics.median(seeks),
            "memory_bytes": peak_bytes() - before_bytes,
        }
    )


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that an action takes, and its result."""
    start_s = time.perf_counter()
    result = action()
    return time.perf_counter() - start_s, result


def peak_bytes() -> int:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def in_process(target: Callable[..., None], *arguments: object) -> Facts:
    """Runs a function in a fresh process and returns what it puts into its queue."""
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[Facts] = context.Queue()
    process = context.Process(target=target, args=(*arguments, results))
    process.start()
    facts = results.get(timeout=600)
    process.join()
    return facts


def main() -> None:
    """Prints the growth table."""
    rows_per_group = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print("| order | rows | row groups | index file | index load | plan | seek, all lanes | memory |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for rows in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            written = in_process(write_size, folder, rows, rows_per_group)
            for order in ("lanes", "global"):
                facts = in_process(measure, folder, order)
                print(
                    f"| {order} | {facts['rows']:,} | {facts['groups']:,} | {written['index_bytes'] / 1e6:.2f} MB "
                    f"| {facts['index_s'] * 1e3:.0f} ms | {facts['plan_s'] * 1e3:.1f} ms "
                    f"| {facts['seek_s'] * 1e3:.2f} ms | {facts['memory_bytes'] / 1e6:.0f} MB |"
                )


if __name__ == "__main__":
    main()
