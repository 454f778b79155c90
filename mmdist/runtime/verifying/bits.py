"""Bits of arrays: what stands for them, and a copy with one of them changed. No I/O, no TensorFlow."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

__all__ = ["digest", "flip_bit"]

Array = npt.NDArray[Any]


def digest(array: Array) -> str:
    """128 bits that stand for type, shape and every bit of an array."""
    return xxhash.xxh3_128_hexdigest(f"{array.dtype}{array.shape}".encode() + array.tobytes())


def flip_bit(array: Array) -> Array:
    """A copy with one bit in its middle changed."""
    data = bytearray(array.tobytes())
    data[len(data) // 2] ^= 1
    return np.frombuffer(bytes(data), array.dtype).reshape(array.shape)
