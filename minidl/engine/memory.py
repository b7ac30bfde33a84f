"""Buffers: always C-contiguous, always aligned to a cache line."""

import math
import threading

import numpy as np

ALIGNMENT = 64
CHUNK = 1 << 18  # bytes that an arena asks for at a time


def empty(shape, dtype):
    """Uninitialised array whose first element starts a cache line."""
    dtype = np.dtype(dtype)
    return _carve(np.empty(_bytes(shape, dtype) + ALIGNMENT, np.uint8), 0, shape, dtype)


def zeros(shape, dtype):
    """Array of zeros."""
    result = empty(shape, dtype)
    result[...] = 0
    return result


def copy(array):
    """Aligned copy of `array`."""
    result = empty(array.shape, array.dtype)
    result[...] = array
    return result


class Arena:
    """Memory for arrays that are used together: what is made one after the other lies side by side.

    Update kernels then pass over many small arrays at once (see `join`). The gaps that alignment leaves are zeros, and
    stay so under every update.
    """

    def __init__(self):
        self.chunk, self.used = np.zeros(0, np.uint8), 0
        self.lock = threading.Lock()

    def zeros(self, shape, dtype):
        """Array of zeros behind the one made before, if it fits."""
        dtype = np.dtype(dtype)
        size = _round_up(_bytes(shape, dtype))
        with self.lock:
            if self.used + size + ALIGNMENT > self.chunk.size:
                self.chunk, self.used = np.zeros(max(CHUNK, size + ALIGNMENT), np.uint8), 0
            array = _carve(self.chunk, self.used, shape, dtype)
            self.used += size
        return array


def neighbours(first, second):
    """Whether `second` follows `first` in one arena, with nothing but zeros between them."""
    return (
        first.base is second.base
        and first.base is not None
        and address(second) == _round_up(address(first) + first.nbytes)
    )


def join(first, last):
    """Flat view from the start of `first` to the end of `last`, which lies behind it in the same arena."""
    start, owner = address(first), first.base
    if first is last:
        return first.reshape(-1)
    size = (address(last) + last.nbytes - start) // first.itemsize
    return np.ndarray(size, first.dtype, owner, start - address(owner))


def address(array):
    """Where the first element lies."""
    return array.__array_interface__["data"][0]


def _carve(raw, offset, shape, dtype):
    start = offset + -(address(raw) + offset) % ALIGNMENT
    return raw[start : start + _bytes(shape, dtype)].view(dtype).reshape(shape)


def _bytes(shape, dtype):
    return (shape if isinstance(shape, int) else math.prod(shape)) * dtype.itemsize


def _round_up(size):
    return size + -size % ALIGNMENT
