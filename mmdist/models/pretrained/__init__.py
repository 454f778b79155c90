"""Pretrained weights as data: files found, fetched and checked by hash, and their arrays put into layers.

Nothing here loads TensorFlow, and no file is read as anything but named arrays.
"""

from mmdist.models.pretrained.arrays import WeightFile, open_arrays
from mmdist.models.pretrained.assign import load_layers
from mmdist.models.pretrained.imagenet import weights_location
from mmdist.models.pretrained.sources import check_weights, fetch_weights

__all__ = ["WeightFile", "check_weights", "fetch_weights", "load_layers", "open_arrays", "weights_location"]
