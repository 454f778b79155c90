"""mmdist: shards to ready batches on the device, in lanes order, page checksums verified and contents summed."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

from contestant import BATCH, serve

from mmdist.data.collate import Collator
from mmdist.data.dataset import open_dataset
from mmdist.data.order import plan_epoch
from mmdist.data.stream import BatchStream, default_threads
from mmdist.models.tensors import to_tensor
from mmdist.spec.data import ColumnsSpec, LanesOrderSpec


def prepare(shards: Path, scratch: Path, side: int) -> Callable[[int], Iterator[int]]:
    """Opens the dataset."""
    dataset = open_dataset(str(shards))
    columns = ColumnsSpec(id="id", image="image")
    collator = Collator(columns=columns, image_size=(side, side), threads=default_threads())

    gc.collect()
    gc.freeze()  # as a worker does before it trains

    def epoch(number: int) -> Iterator[int]:
        plan = plan_epoch(
            dataset.index.rows,
            fingerprint=dataset.fingerprint,
            seed=0,
            epoch=number,
            global_batch_size=BATCH,
            order=LanesOrderSpec(),
        )
        with BatchStream(dataset, plan, collator) as stream:
            for batch in stream:
                to_tensor(batch.image)
                yield batch.rows

    return epoch


if __name__ == "__main__":
    serve(prepare)
