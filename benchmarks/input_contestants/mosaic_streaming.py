"""MosaicML Streaming: its own shards, shuffled, read by a PyTorch loader with two workers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import simplejpeg
import torch
from contestant import BATCH, serve

# Streaming imports torchvision, whose wheel does not load its operators beside a torch that was built for CPU alone,
# and then fails for want of their names. None of them is used here.
_names = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _names.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from streaming import MDSWriter, StreamingDataset  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402


class Pictures(StreamingDataset):
    """Decodes each picture as it is asked for."""

    def __getitem__(self, at: int) -> np.ndarray:
        """One picture, uint8 (H, W, 3)."""
        return simplejpeg.decode_jpeg(super().__getitem__(at)["image"], "RGB")


def prepare(shards: Path, scratch: Path, side: int) -> Callable[[int], Iterator[int]]:
    """Converts the shards, unless that was done."""
    folder = scratch / "mds"
    if not (folder / "index.json").exists():
        with MDSWriter(out=str(folder), columns={"image": "bytes"}) as writer:
            for path in sorted(shards.glob("*.parquet")):
                for data in pq.read_table(path)["image"].to_pylist():
                    writer.write({"image": data})
    pictures = Pictures(local=str(folder), shuffle=True, batch_size=BATCH, num_canonical_nodes=1)
    loader = DataLoader(pictures, batch_size=BATCH, num_workers=2)

    def epoch(number: int) -> Iterator[int]:
        for batch in loader:
            yield int(batch.shape[0])

    return epoch


if __name__ == "__main__":
    serve(prepare)
