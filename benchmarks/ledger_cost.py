"""What share of reading does the content ledger cost? CPU seconds of whole streams, with the sums and without.

    python benchmarks/ledger_cost.py FOLDER SIDE [--rounds 5]

FOLDER holds shards with id, image and label, as `input_contestants/pictures.py` writes them. Two measures, both of CPU
time, since that does not depend on what else the machine does as wall time would:

- By itself: within streams as they are, the CPU time of the threads in the ledger's own functions, over the whole
  process's. It is sharp, and leaves out what the sums cost elsewhere (their copies to the places of batches).
- In all: streams with the sums and without, in turns within one process, the order of the two changing from round to
  round. Both read, verify page checksums, decode and build the same batches. It leaves nothing out, and scatters.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from mmdist.data import collate, prepare
from mmdist.data.collate import Collator
from mmdist.data.content import HashedColumns
from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.labels import learn_labels
from mmdist.data.order import plan_epoch
from mmdist.data.stream import BatchStream, default_threads
from mmdist.spec.data import ColumnsSpec, LanesOrderSpec

BATCH = 64


def cpu_us(dataset: Dataset, collator: Collator, epoch: int, *, with_ledger: bool) -> float:
    """Microseconds of CPU time per row of one epoch."""
    plan = plan_epoch(
        dataset.index.rows,
        fingerprint=dataset.fingerprint,
        seed=0,
        epoch=epoch,
        global_batch_size=BATCH,
        order=LanesOrderSpec(),
    )
    hashed = dataset.hashed_columns(collator.read_columns) if with_ledger else HashedColumns(None, ())
    with patch.object(Dataset, "hashed_columns", lambda *_: hashed):
        start = time.process_time()
        with BatchStream(dataset, plan, collator) as stream:
            rows = sum(batch.rows for batch in stream)
        return (time.process_time() - start) / rows * 1e6


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """CPU seconds of the ledger's own functions while the block runs."""
    spent = {"hashes": 0.0, "sums": 0.0}

    def timed(name: str, whole: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            start = time.thread_time()
            try:
                return whole(*arguments, **options)
            finally:
                spent[name] += time.thread_time() - start  # each is called by few threads, for hundreds of rows

        return run

    with ExitStack() as patches:
        for name in ("text_hashes", "view_hashes", "row_hashes"):
            patches.enter_context(patch.object(prepare, name, timed("hashes", getattr(prepare, name))))
        patches.enter_context(patch.object(collate, "_ledger", timed("sums", collate._ledger)))
        yield spent


def main() -> None:
    """Prints CPU time per row and the ledger's share of it, as medians over the rounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("side", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    dataset = open_dataset(options.folder)
    collator = Collator(
        columns=ColumnsSpec(id="id", image="image", label="label"),
        image_size=(options.side, options.side),
        labels=learn_labels(dataset, "label"),
        threads=default_threads(),
    )
    own = []
    for epoch in range(options.rounds + 1):
        with measured() as spent:
            whole = cpu_us(dataset, collator, epoch, with_ledger=True)
        per_row = [seconds / dataset.rows * 1e6 for seconds in spent.values()]
        own.append((*per_row, sum(per_row) / whole))
    hashes, sums, own_share = (statistics.median(values) for values in zip(*own[1:], strict=True))
    print(f"by itself   hashes {hashes:.2f} us a row, sums of batches {sums:.2f} us: {own_share:.1%} of reading")
    pairs = []
    for epoch in range(options.rounds + 1):
        order = (True, False) if epoch % 2 else (False, True)
        found = {kind: cpu_us(dataset, collator, epoch, with_ledger=kind) for kind in order}
        pairs.append((found[True], found[False]))
    warm = pairs[1:]
    shares = sorted(one / other - 1 for one, other in warm)
    one, other = (statistics.median(values) for values in zip(*warm, strict=True))
    print(
        f"in all      {one:.1f} us of CPU time a row with the ledger, {other:.1f} without: "
        f"{statistics.median(shares):.1%} of reading (rounds: {', '.join(f'{s:.1%}' for s in shares)})"
    )


if __name__ == "__main__":
    main()
