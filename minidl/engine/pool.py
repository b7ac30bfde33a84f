"""Memory that the calls of a recording share.

A recording takes its buffers from a pool while its function runs, and memory comes back when Python drops the last
array in it. Replay makes the same calls in the same order, so what was valid then is valid again, and no analysis is
needed: a recorded step works in the memory that eager code needs at its peak.
"""

import weakref

import numpy as np

from minidl.engine.memory import ALIGNMENT, CHUNK, address, carve, round_up, size_of

SHARE = 8  # a block takes at least the eighth part of a gap, lest small ones break up the gaps that large ones leave


class Chunk(np.ndarray):
    """A stretch of memory that blocks are cut from.

    A class of its own, because NumPy looks for the base of a view through arrays of one class only: the base of all
    views of a block is the block, whose end is noticed, and not the chunk behind it.
    """


class Pool:
    """Blocks that are lent as arrays, and lent again when these are gone.

    Parameters
    ----------
    blank : bool
        Whether memory that has never been lent holds zeros.

    Attributes
    ----------
    chunks : list of Chunk
    used : list of int
        For each chunk, the end of what has ever been lent.
    free : list of (int, int, int)
        What can be lent: number of the chunk, start, end.
    lent : dict
        By the `id` of a weak reference to a block, the reference and where the block is.
    returned : list of weak references
        To blocks that died since the last loan. That may happen at any time and in any thread; to append is safe.
    """

    def __init__(self, blank=False):
        self.blank = blank
        self.chunks, self.used, self.free, self.lent, self.returned = [], [], [], {}, []

    nbytes = property(lambda self: sum(self.used), doc="Bytes that have ever been lent, each counted once.")

    def empty(self, shape, dtype):
        """Uninitialised array."""
        while self.returned:
            self.take_back(*self.lent.pop(id(self.returned.pop()))[1])
        size = max(round_up(size_of(shape, dtype)), ALIGNMENT)
        number, start, end = span = self.best_fit(size) or self.grow(size)
        self.free.remove(span)
        if start + size < end:
            self.free.append((number, start + size, end))
        self.used[number] = max(self.used[number], start + size)
        block = np.ndarray(size, np.uint8, self.chunks[number], start)
        reference = weakref.ref(block, self.returned.append)
        self.lent[id(reference)] = reference, (number, start, start + size)
        return carve(block, 0, shape, dtype)

    def best_fit(self, size):
        """The smallest gap of at least `size` bytes, or what is left of a chunk, if there is one."""
        fitting = [
            (number, start, end)
            for number, start, end in self.free
            if size <= end - start and (end - start <= SHARE * size or end > self.used[number])
        ]
        return min(fitting, key=lambda span: (span[2] - span[1], span), default=None)

    def grow(self, size):
        """A new chunk, as large as all before, so that there are few; pages never lent cost nothing."""
        capacity = max(size, CHUNK, sum(chunk.size for chunk in self.chunks))
        chunk = Chunk(capacity + ALIGNMENT, np.uint8)
        if self.blank:
            chunk[...] = 0
        start = -address(chunk) % ALIGNMENT
        span = len(self.chunks), start, start + capacity
        self.chunks.append(chunk)
        self.used.append(0)
        self.free.append(span)
        return span

    def take_back(self, number, start, end):
        """Let a stretch be lent again, as one with what is free beside it."""
        for span in [span for span in self.free if span[0] == number and (span[2] == start or span[1] == end)]:
            self.free.remove(span)
            start, end = min(start, span[1]), max(end, span[2])
        self.free.append((number, start, end))

    def hold(self, array):
        """An array over the same memory that does not keep the block from coming back; others as they are."""
        chunk = None if array is None else getattr(array.base, "base", None)
        if not isinstance(chunk, Chunk) or all(chunk is not own for own in self.chunks):
            return array
        return np.ndarray(array.shape, array.dtype, chunk, address(array) - address(chunk))
