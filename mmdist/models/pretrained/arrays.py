"""Reads files of weights as named arrays: safetensors, and HDF5 as Keras writes it. No objects, no code."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load

from mmdist.errors import DataRefusedError, Place, words_of

__all__ = ["Entry", "WeightFile", "open_arrays"]

_AUTOMATIC = re.compile(r"^(layer_normalization)_\d+$")
"""A name that Keras makes up with a running number, of the one layer in ConvNeXt that has none of its own."""
_NOT_WEIGHTS = ("optimizer_weights", "optimizer")


@dataclass(frozen=True)
class Entry:
    """One array of a file: its path there, its shape, and how it is read."""

    path: str
    shape: tuple[int, ...]
    read: Callable[[], npt.NDArray[np.float32]]


class WeightFile:
    """The arrays of a file, found by layer and weight: the last two parts of their paths.

    Args:
        name: What people call the file.
        entries: Its arrays.
    """

    def __init__(self, name: str, entries: list[Entry]) -> None:
        self.name = name
        self.entries = entries
        self._by_layer: dict[str, dict[str, list[Entry]]] = {}
        for entry in entries:
            *above, weight = entry.path.split("/")
            layer = self._by_layer.setdefault(_AUTOMATIC.sub(r"\1", above[-1] if above else ""), {})
            layer.setdefault(_plain(weight), []).append(entry)

    def find(self, layer: str, weight: str, *, is_only: bool) -> Entry | None:
        """The array of a layer's weight; where the layer `is_only` that one, it may go by another name.

        Raises:
            DataRefusedError: where there are several.
        """
        arrays = self._by_layer.get(layer, {})
        found = arrays.get(_plain(weight), [])
        if not found and is_only and len(arrays) == 1:
            found = next(iter(arrays.values()))
        if len(found) > 1:
            raise DataRefusedError(
                f"the file of weights has several arrays for {layer}/{weight}",
                expected="one array for each weight of each layer",
                received=", ".join(entry.path for entry in found),
                place=Place(file=self.name),
            )
        return found[0] if found else None


def open_arrays(data: bytes, name: str) -> WeightFile:
    """The arrays of a file's content; those of HDF5 are read when they are asked for.

    Raises:
        DataRefusedError: where it is neither safetensors nor HDF5, or its arrays lie outside of it.
    """
    try:
        entries = _open_hdf5(data) if data.startswith(b"\x89HDF\r\n\x1a\n") else _open_safetensors(data)
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise DataRefusedError(
            "the file of weights cannot be read",
            expected="safetensors, or HDF5 as Keras writes weights",
            received=words_of(error),
            place=Place(file=name),
        ) from error
    return WeightFile(name, entries)


def _open_safetensors(data: bytes) -> list[Entry]:
    arrays = load(data)
    return [Entry(key.replace(".", "/"), array.shape, _as_read(array)) for key, array in arrays.items()]


def _open_hdf5(data: bytes) -> list[Entry]:
    import h5py

    entries: list[Entry] = []

    def visit(path: str, item: object) -> None:
        if not isinstance(item, h5py.Dataset) or path.split("/")[0] in _NOT_WEIGHTS:
            return
        # Such arrays lie in other files, which nobody has named or hashed.
        if item.is_virtual or item.external:
            raise ValueError(f"{path} lies in another file")
        if item.dtype.kind == "f":
            entries.append(Entry(path, tuple(item.shape), lambda: np.asarray(item[()], np.float32)))

    h5py.File(io.BytesIO(data), "r").visititems(visit)  # links to elsewhere are not followed
    return entries


def _as_read(array: npt.NDArray[np.float32]) -> Callable[[], npt.NDArray[np.float32]]:
    return lambda: np.asarray(array, np.float32)


def _plain(weight: str) -> str:
    """A weight's name without Keras 2's `:0`, and a depthwise kernel by the name that Keras 3 has for it."""
    return weight.partition(":")[0].replace("depthwise_kernel", "kernel")
