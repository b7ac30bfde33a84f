"""Buffers: always C-contiguous, always aligned to a cache line."""

import numpy as np

ALIGNMENT = 64


def empty(shape, dtype):
    """Uninitialised array whose first element starts a cache line."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def copy(array):
    """Aligned copy of `array`."""
    result = empty(array.shape, array.dtype)
    result[...] = array
    return result


def zeros(shape, dtype):
    """Array of zeros."""
    result = empty(shape, dtype)
    result[...] = 0
    return result
