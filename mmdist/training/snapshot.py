"""Takes the values of variables at one moment, and lays them out as one safetensors file, without copies of them.

The file comes in portions, so that whoever waits for its writing sees it move.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Portions", "arrays_file", "take_snapshot"]

Array = npt.NDArray[Any]

_CODES = {
    **{f"float{bits}": f"F{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
    "bfloat16": "BF16",
    "bool": "BOOL",
}
_ALIGNMENT = 8
_PORTION_BYTES = 16 * 1024 * 1024


def take_snapshot(variables: Iterable[Any]) -> list[Array]:
    """The values that variables have now, each of its own shape and dtype (scalars stay scalars).

    On a CPU nothing is copied here: an array views the value's memory, which TensorFlow leaves as it is and copies
    when a step writes the variable, as long as somebody holds it. From other devices it is one copy to the host.
    """
    return [_value(variable) for variable in variables]


def arrays_file(arrays: Sequence[Array]) -> list[bytes | memoryview]:
    """The arrays as a safetensors file, named by their index, in pieces: a header, and the memory of each array.

    What `mmdist.models.arrays.unpack_arrays` reads.
    """
    header: dict[str, Any] = {}
    start = 0
    pieces: list[bytes | memoryview] = []
    for index, array in enumerate(arrays):
        # The file holds the memory as it lies: an array in another order would come back scrambled.
        plain = np.asarray(array, order="C")
        offsets = [start, start + plain.nbytes]
        header[f"{index:06d}"] = {
            "dtype": _CODES[str(plain.dtype)],
            "shape": list(plain.shape),
            "data_offsets": offsets,
        }
        start += plain.nbytes
        pieces.append(plain.reshape(-1).view(np.uint8).data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return [len(text).to_bytes(8, "little") + text, *pieces]


class Portions(list[memoryview]):
    """A file's pieces in portions of at most 16 MiB, which tells each time that another one was taken.

    Args:
        pieces: The content.
        moved: Called after each portion, every time the portions are gone through.
    """

    def __init__(self, pieces: Iterable[bytes | memoryview], moved: Callable[[], None]) -> None:
        super().__init__(
            memoryview(piece)[start : start + _PORTION_BYTES]
            for piece in pieces
            for start in range(0, len(piece), _PORTION_BYTES)
        )
        self._moved = moved

    def __iter__(self) -> Iterator[memoryview]:
        for portion in super().__iter__():
            yield portion
            self._moved()


def _value(variable: Any) -> Array:
    read = getattr(getattr(variable, "value", None), "read_value", None)
    if read is None:
        return np.array(variable.numpy(), order="C", copy=True)
    tensor = read()
    if "device:CPU" in tensor.device:
        try:
            return np.asarray(memoryview(tensor))
        except ValueError:
            # bfloat16 has no code in the buffer protocol.
            pass
    return np.asarray(tensor.numpy())
