"""Memory for the pictures of batches, used again once nobody holds it: fresh memory costs more than copying it. No I/O.

A fresh array of a batch's size is mapped page by page at its first use and unmapped at its end, each time anew.
"""

import math
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ALIGNMENT_BYTES", "ImageBuffers", "misaligned"]

ALIGNMENT_BYTES = 64
"""Each array begins at a multiple of it: tensor libraries take such memory as it is, and copy any other."""
_MISALIGNED_BYTES = 8


class ImageBuffers:
    """Arrays of one shape, uint8. Safe to use from several threads.

    An array comes back by itself when it and all views of it are gone, however many the holder has made; nothing
    has to be given back by hand, and what is still in use is never handed out.
    """

    def __init__(self, most_kept: int) -> None:
        """Keeps at most so many arrays that nobody uses."""
        self._idle: deque[npt.NDArray[np.uint8]] = deque(maxlen=most_kept)

    def take(self, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """An array of this shape with whatever it held before."""
        try:
            memory = self._idle.pop()
        except IndexError:
            memory = _aligned(shape)
        if memory.shape != shape:
            memory = _aligned(shape)
        return np.asarray(_Loan(memory, self._idle))


def misaligned(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """A fresh array, uint8, that begins 8 bytes behind a multiple of the alignment.

    The JPEG decoder writes the rows of pictures that are aligned to 16 or 32 bytes past the caches, and waits for the
    memory after each row; other rows it leaves in the caches.
    """
    return _placed(shape, _MISALIGNED_BYTES)


def _aligned(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    return _placed(shape, 0)


def _placed(shape: tuple[int, ...], offset_bytes: int) -> npt.NDArray[np.uint8]:
    size = math.prod(shape)
    memory = np.empty(size + ALIGNMENT_BYTES + offset_bytes, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT_BYTES + offset_bytes
    return memory[start : start + size].reshape(shape)


class _Loan:
    """Owns an array for as long as a view of it lives: numpy's views hold on to the object at their base."""

    def __init__(self, memory: npt.NDArray[np.uint8], idle: "deque[npt.NDArray[np.uint8]]") -> None:
        self.__array_interface__: dict[str, Any] = memory.__array_interface__
        self._memory = memory
        self._idle = idle

    def __del__(self) -> None:
        self._idle.append(self._memory)
