"""Puts a file's arrays into the weights of layers, by layer and weight name."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mmdist.errors import DataRefusedError, Place
from mmdist.models.pretrained.arrays import Entry, WeightFile

__all__ = ["load_layers", "some_of"]


def load_layers(layers: Sequence[Any], file: WeightFile) -> None:
    """Sets every weight of built layers.

    Raises:
        DataRefusedError: where an array is missing or of another shape; no weight is changed then.
    """
    found: list[tuple[Any, Entry]] = []
    missing: list[str] = []
    for layer in layers:
        for weight in layer.weights:
            entry = file.find(layer.name, weight.name, is_only=len(layer.weights) == 1)
            if entry is None:
                missing.append(f"{layer.name}/{weight.name} {tuple(weight.shape)}")
            else:
                found.append((weight, entry))
    if missing:
        raise DataRefusedError(
            f"the file of weights lacks {len(missing)} of {len(missing) + len(found)} arrays of the network",
            expected=some_of(missing),
            received=some_of([f"{entry.path} {entry.shape}" for entry in file.entries]),
            place=Place(file=file.name),
            remedy="take the weights of this very network; docs/how-to/image-towers.md says how arrays are named",
        )
    for weight, entry in found:
        if entry.shape not in (tuple(weight.shape), _grouped(weight.shape)):
            raise DataRefusedError(
                f"an array of the file of weights does not fit {weight.path}",
                expected=str(tuple(weight.shape)),
                received=f"{entry.path} {entry.shape}",
                place=Place(file=file.name),
                remedy="take the weights of this very network",
            )
    for weight, entry in found:
        weight.assign(_as_shaped(entry, tuple(weight.shape)))


def _grouped(shape: Sequence[int]) -> tuple[int, ...] | None:
    """The shape of a depthwise kernel where it is kept as that of a grouped convolution."""
    return (shape[0], shape[1], shape[3], shape[2]) if len(shape) == 4 and shape[3] == 1 else None


def _as_shaped(entry: Entry, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    array = entry.read()
    return array if array.shape == shape else np.swapaxes(array, 2, 3)


def some_of(names: list[str]) -> str:
    """The first three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
