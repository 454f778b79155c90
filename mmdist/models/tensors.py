"""Arrays of batches to tensors, without a copy where TensorFlow on the CPU can take the memory as it is."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

__all__ = ["ALIGNMENT_BYTES", "to_tensor"]

ALIGNMENT_BYTES = 64
"""TensorFlow on the CPU takes memory that begins at a multiple of it as it is."""

_LEAST_SHARED_BYTES = 256 * 1024


def to_tensor(array: npt.NDArray[Any]) -> Any:
    """A tensor with an array's values. The array must not be written to afterwards.

    Large pictures are shared with the tensor rather than copied, as long as there is no GPU: the tensor then keeps the
    array alive. TensorFlow aborts on shared memory that is not aligned, so such an array is copied.
    """
    is_shared = (
        array.nbytes >= _LEAST_SHARED_BYTES
        and array.dtype == np.uint8
        and array.ctypes.data % ALIGNMENT_BYTES == 0
        and array.flags.c_contiguous
        and array.flags.writeable
        and not _has_gpu()
    )
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__()) if is_shared else tf.convert_to_tensor(array)


@cache
def _has_gpu() -> bool:
    return bool(tf.config.list_logical_devices("GPU"))
