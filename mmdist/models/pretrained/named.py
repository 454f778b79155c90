"""Puts arrays that are named as PyTorch names them into Keras weights."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mmdist.errors import DataRefusedError, Place
from mmdist.models.pretrained.arrays import Entry, WeightFile
from mmdist.models.pretrained.assign import some_of

__all__ = ["load_named"]

_OLD_NAMES = {"LayerNorm/weight": "LayerNorm/gamma", "LayerNorm/bias": "LayerNorm/beta"}
_REMEDY = "take the weights of this very network, and its own tokenizer; docs/how-to/text-towers.md says how"


def load_named(weights: Mapping[str, Any], file: WeightFile) -> None:
    """Sets weights by the names that they are published by, with `/` for each dot.

    A file may have a word more before all names, as that of a network with a head has. Kernels are kept transposed
    there. Of a table of vectors, the first rows are taken.

    Raises:
        DataRefusedError: where an array is missing or of another shape; no weight is changed then.
    """
    entries = {entry.path: entry for entry in file.entries}
    first = next(iter(weights))
    before = next((path.removesuffix(first) for path in entries if path.endswith(first)), "")
    found = {name: entries.get(f"{before}{name}") or entries.get(f"{before}{_old(name)}") for name in weights}
    missing = [f"{before}{name}" for name, entry in found.items() if entry is None]
    if missing:
        raise DataRefusedError(
            f"the file of weights lacks {len(missing)} of {len(weights)} arrays of the network",
            expected=some_of(missing),
            received=some_of([f"{entry.path} {entry.shape}" for entry in file.entries]),
            place=Place(file=file.name),
            remedy=_REMEDY,
        )
    ready = {name: _as_kept(weights[name], entry, file.name) for name, entry in found.items() if entry is not None}
    for name, array in ready.items():
        weights[name].assign(array)


def _as_kept(weight: Any, entry: Entry, file: str) -> npt.NDArray[np.float32]:
    shape = tuple(weight.shape)
    is_kernel = weight.path.endswith("kernel")
    is_table = len(shape) == 2 and not is_kernel
    at_hand = entry.shape[::-1] if is_kernel else (min(shape[0], entry.shape[0]), *entry.shape[1:])
    if (at_hand if is_kernel or is_table else entry.shape) != shape:
        raise DataRefusedError(
            f"an array of the file of weights does not fit {weight.path}",
            expected=f"{shape[::-1] if is_kernel else shape}{' or more rows' if is_table else ''}",
            received=f"{entry.path} {entry.shape}",
            place=Place(file=file),
            remedy=_REMEDY,
        )
    array = entry.read()
    if is_kernel:
        return array.T
    return array[: shape[0]] if is_table else array


def _old(name: str) -> str:
    for new, old in _OLD_NAMES.items():
        if name.endswith(new):
            return name.removesuffix(new) + old
    return name
