import gc

import numpy as np

from mmdist.data.image_buffers import ALIGNMENT_BYTES, ImageBuffers, misaligned

SHAPE = (2, 3, 3, 3)


def test_memory_in_use_is_never_handed_out_and_comes_back_with_its_last_view() -> None:
    buffers = ImageBuffers(4)
    first = buffers.take(SHAPE)
    address = first.ctypes.data
    view = first[1:].reshape(-1)[3:]
    del first
    gc.collect()
    second = buffers.take(SHAPE)
    assert not np.shares_memory(second, view)
    del view
    gc.collect()
    assert buffers.take(SHAPE).ctypes.data == address


def test_no_more_is_kept_than_asked_for_and_no_other_shape() -> None:
    buffers = ImageBuffers(1)
    held = [buffers.take(SHAPE) for _ in range(3)]
    held.clear()
    gc.collect()
    assert len(buffers._idle) == 1
    assert buffers.take((5, 3, 3, 3)).shape == (5, 3, 3, 3)
    assert ImageBuffers(0).take(SHAPE).flags.writeable


def test_misaligned_memory_is_misaligned_for_every_vector() -> None:
    for _ in range(8):
        array = misaligned(SHAPE)
        assert (array.shape, array.dtype, array.flags.c_contiguous) == (SHAPE, np.uint8, True)
        assert array.ctypes.data % 16 == 8
        assert ImageBuffers(0).take(SHAPE).ctypes.data % ALIGNMENT_BYTES == 0
