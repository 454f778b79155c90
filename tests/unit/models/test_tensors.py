import gc

import numpy as np
import tensorflow as tf

from mmdist.data.image_buffers import ImageBuffers
from mmdist.models.tensors import to_tensor

SHAPE = (32, 64, 64, 3)


def test_pictures_are_shared_and_their_memory_waits_for_the_tensor() -> None:
    buffers = ImageBuffers(2)
    array = buffers.take(SHAPE)
    array[:] = 7
    tensor = to_tensor(array)
    array[0, 0, 0, 0] = 9
    assert int(tensor[0, 0, 0, 0]) == 9 or tf.config.list_logical_devices("GPU")
    del array
    gc.collect()
    buffers.take(SHAPE)[:] = 1
    assert int(tf.reduce_max(tensor[1:])) == int(tf.reduce_min(tensor[1:])) == 7
    assert len(buffers._idle) == 1
    del tensor
    gc.collect()
    assert len(buffers._idle) == 2


def test_what_cannot_be_shared_is_copied() -> None:
    memory = np.ones(32 * 64 * 64 * 3 + 128, np.uint8)
    start = -memory.ctypes.data % 64 + 16
    unaligned = memory[start : start + 32 * 64 * 64 * 3].reshape(SHAPE)
    for array in (unaligned, np.ones((4, 4), np.float32), unaligned[:, ::2], np.zeros(0, np.int32)):
        tensor = to_tensor(array)
        assert np.array_equal(tf.cast(tensor, tf.float32).numpy(), array.astype(np.float32))
