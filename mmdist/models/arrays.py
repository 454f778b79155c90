"""Plain arrays by index, in safetensors: how weights and training state are kept. No code, no pickle, no names."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mmdist.errors import DataRefusedError, Place, words_of

__all__ = ["assign_arrays", "describe", "pack_arrays", "read_variables", "unpack_arrays"]

Array = npt.NDArray[Any]


def read_variables(variables: Sequence[Any]) -> list[Array]:
    """A host copy of each variable, of its own shape and dtype (scalars stay scalars)."""
    return [np.array(variable.numpy(), order="C", copy=True) for variable in variables]


def describe(arrays: Sequence[Array]) -> list[dict[str, Any]]:
    """Shape and dtype of each array, for JSON."""
    return [{"shape": list(array.shape), "dtype": str(array.dtype)} for array in arrays]


def pack_arrays(arrays: Sequence[Array]) -> bytes:
    """The arrays as one safetensors file, named by their index."""
    # safetensors writes the memory as it lies: an array in another order would come back scrambled.
    return bytes(save({f"{index:06d}": np.asarray(array, order="C") for index, array in enumerate(arrays)}))


def unpack_arrays(data: bytes, *, file: str) -> list[Array]:
    """The arrays of `pack_arrays`, in order.

    Raises:
        DataRefusedError: where the bytes are no safetensors file with arrays named by index.
    """
    try:
        by_name: dict[str, Array] = load(data)
        return [by_name[f"{index:06d}"] for index in range(len(by_name))]
    except (SafetensorError, KeyError, ValueError) as error:
        raise DataRefusedError(
            "the file does not hold arrays as mmdist writes them",
            expected="safetensors with arrays named 000000, 000001, ...",
            received=words_of(error),
            place=Place(file=file),
        ) from error


def assign_arrays(variables: Sequence[Any], arrays: Sequence[Array], *, file: str) -> None:
    """Puts the arrays into the variables, after all of them were compared by shape and dtype.

    Raises:
        DataRefusedError: where they do not fit; no variable is changed then.
    """
    if len(variables) != len(arrays):
        raise DataRefusedError(
            "the arrays are not those of this model",
            expected=f"{len(variables)} arrays",
            received=f"{len(arrays)} arrays",
            place=Place(file=file),
            remedy="use the job that they were written by",
        )
    for index, (variable, array) in enumerate(zip(variables, arrays, strict=True)):
        if tuple(variable.shape) != array.shape or str(variable.dtype) != str(array.dtype):
            raise DataRefusedError(
                f"array {index} does not fit {variable.path}",
                expected=f"{variable.dtype} {tuple(variable.shape)}",
                received=f"{array.dtype} {array.shape}",
                place=Place(file=file),
                remedy="use the job that it was written by",
            )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
