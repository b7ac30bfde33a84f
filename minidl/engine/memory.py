"""Buffers: always C-contiguous, always aligned to a cache line.

While a step is recorded, `empty` takes them from the recording's pool, where memory is used again. Only calls may write
such a buffer, for replay repeats nothing else. What Python writes, or what outlives the step, comes from `allocate`.
"""

import math
import threading

import numpy as np

from minidl.engine.state import state

ALIGNMENT = 64
CHUNK = 1 << 18  # bytes that an arena asks for at a time


def empty(shape, dtype):
    """Uninitialised array whose first element starts a cache line, for calls to write."""
    result = allocate(shape, dtype) if state.pool is None else state.pool.empty(shape, np.dtype(dtype))
    if state.detect_anomaly:
        result.fill(0)  # what a call leaves for the next ones to write is no anomaly
    return result


def allocate(shape, dtype):
    """The same in memory of its own, which may be written by anybody and outlive a recorded step."""
    dtype = np.dtype(dtype)
    return carve(np.empty(size_of(shape, dtype) + ALIGNMENT, np.uint8), 0, shape, dtype)


def zeros(shape, dtype):
    """Array of zeros."""
    result = allocate(shape, dtype)
    result[...] = 0
    return result


def copy(array):
    """Aligned copy of `array`."""
    result = allocate(array.shape, array.dtype)
    result[...] = array
    return result


class Arena:
    """Memory for arrays that are used together: what is made one after the other lies side by side.

    Update kernels then pass over many small arrays at once (see `join`). The gaps that alignment leaves are zeros; in
    weights and gradients they stay so under every update.
    """

    def __init__(self):
        self.chunk, self.used = np.zeros(0, np.uint8), 0
        self.lock = threading.Lock()

    def zeros(self, shape, dtype):
        """Array of zeros behind the one made before, if it fits."""
        dtype = np.dtype(dtype)
        size = round_up(size_of(shape, dtype))
        with self.lock:
            if self.used + size + ALIGNMENT > self.chunk.size:
                self.chunk, self.used = np.zeros(max(CHUNK, size + ALIGNMENT), np.uint8), 0
            array = carve(self.chunk, self.used, shape, dtype)
            self.used += size
        return array


def neighbours(first, second):
    """Whether `second` follows `first` in one arena, with nothing but zeros between them."""
    return (
        first.base is second.base
        and first.base is not None
        and address(second) == round_up(address(first) + first.nbytes)
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


def carve(raw, offset, shape, dtype):
    """Array whose first element is at the first cache line of `raw` from `offset` on."""
    start = offset + -(address(raw) + offset) % ALIGNMENT
    return raw[start : start + size_of(shape, dtype)].view(dtype).reshape(shape)


def size_of(shape, dtype):
    """Bytes of an array."""
    return (shape if isinstance(shape, int) else math.prod(shape)) * dtype.itemsize


def round_up(size):
    """`size` as whole cache lines."""
    return size + -size % ALIGNMENT
