"""What share of reading does the content ledger cost? CPU seconds of whole streams, with the sums and without.

    python benchmarks/ledger_cost.py FOLDER SIDE [--rounds 5]

FOLDER holds shards with id, image and label, as `input_contestants/pictures.py` writes them. Both streams read, verify
page checksums, decode and build the same batches; in turns within one process, the order of the two changing from
round to round. CPU time of the process is compared, since it does not depend on what else the machine does as
wall time would.
"""

import argparse
import statistics
import time
from unittest.mock import patch

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


def main() -> None:
    """Prints CPU time per row with and without the ledger, and the share, as medians over the rounds."""
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
    pairs = []
    for epoch in range(options.rounds + 1):
        order = (True, False) if epoch % 2 else (False, True)
        found = {kind: cpu_us(dataset, collator, epoch, with_ledger=kind) for kind in order}
        pairs.append((found[True], found[False]))
    warm = pairs[1:]
    shares = sorted(one / other - 1 for one, other in warm)
    print(f"with the ledger    {statistics.median(one for one, _ in warm):6.1f} us of CPU time per row")
    print(f"without            {statistics.median(other for _, other in warm):6.1f} us")
    print(f"share of reading   {statistics.median(shares):6.1%} (rounds: {', '.join(f'{s:.1%}' for s in shares)})")


if __name__ == "__main__":
    main()
