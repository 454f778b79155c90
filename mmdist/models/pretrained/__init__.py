"""Pretrained weights as data: files found, fetched and checked by hash, and their arrays put into layers.

Nothing here loads TensorFlow, and no file is read as anything but named arrays.
"""

from mmdist.models.pretrained.arrays import WeightFile, open_arrays
from mmdist.models.pretrained.assign import load_layers
from mmdist.models.pretrained.imagenet import weights_location
from mmdist.models.pretrained.layout import check_layout
from mmdist.models.pretrained.named import load_named
from mmdist.models.pretrained.sources import check_weights, fetch_tokenizer, fetch_weights

__all__ = [
    "WeightFile",
    "check_layout",
    "check_weights",
    "fetch_tokenizer",
    "fetch_weights",
    "load_layers",
    "load_named",
    "open_arrays",
    "weights_location",
]
