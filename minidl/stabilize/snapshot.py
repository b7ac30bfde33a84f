"""Copies of the weights and of an optimizer's state, and the way back to them."""

from itertools import accumulate

import numpy as np

from minidl.engine import Tensor, memory, state, version
from minidl.stabilize.update import runs, segments, with_gradient


class Snapshots:
    """Room for copies of all that an optimizer's step changes.

    Parameters
    ----------
    optimizer : Optimizer
    slots : int
        Number of copies.

    Attributes
    ----------
    weights : list of Parameter
        Those that the optimizer has updated.
    live : list of ndarray
        Segments of weights, state and clocks; the first `front` are the weights'.
    places : list of int
        Where the copy of each begins, in bytes.
    store : ndarray of uint8
        A copy after the other; in each the segments in order, from the start of a cache line on.
    """

    revision = 0  # counts what makes recorded steps stale: other arrays to copy

    def __init__(self, optimizer, slots):
        self.optimizer, self.slots = optimizer, slots
        self.arrays: list[np.ndarray] = []
        self.weights: list[Tensor] = []
        self.arrange([])

    def follow(self):
        """Find out what there is to copy; True if that has changed, and all copies are lost."""
        self.optimizer.rely()
        for group in self.optimizer.param_groups:
            for members in with_gradient(group["params"]).values():
                self.optimizer.states(members, group)  # makes the arrays that the step is about to use
        kept = self.optimizer.state
        weights = [parameter.array for parameter in kept]
        buffers = [buffer for name in self.optimizer.buffers for buffer in found(kept.values(), name)]
        clocks = {id(entry.clock): entry.clock for entry in kept.values()}
        arrays = [*weights, *buffers, *clocks.values()]
        changed = [id(array) for array in arrays] != [id(array) for array in self.arrays]
        if changed:
            self.weights, self.arrays = list(kept), arrays
            self.arrange(arrays)
            self.revision += 1
            version.count += 1
        if state.recording is not None:
            state.recording.rely_on(self, "revision")
            state.recording.rely_on_leaves(self.weights)
            for entry in kept.values():
                state.recording.rely_on(entry, "clock")
        return changed

    def arrange(self, arrays):
        """Make room for copies of `arrays`, which begin with the weights."""
        count = len(self.weights)
        front, rest = pieces_of(arrays[:count]), pieces_of(arrays[count:])
        self.front, self.live = len(front), front + rest
        *self.places, room = accumulate((memory.round_up(piece.nbytes) for piece in self.live), initial=0)
        sizes = [piece.nbytes for piece in self.live]
        self.sizes = [len(self.live), self.front, room, *sizes, *self.places]
        self.store = memory.zeros(self.slots * room, np.uint8)

    def pairs(self):
        """Segments of the weights, and of their first copy, by dtype."""
        groups: dict[np.dtype, tuple[list, list]] = {}
        for piece, start in zip(self.live[: self.front], self.places, strict=False):
            now, then = groups.setdefault(piece.dtype, ([], []))
            now.append(piece)
            then.append(self.store[start : start + piece.nbytes].view(piece.dtype))
        return groups


def pieces_of(arrays):
    """Segments of arrays of any dtype; neighbours are one."""
    return segments(arrays, runs([arrays], [array.dtype.type for array in arrays]))


def found(entries, name):
    """The arrays of one name."""
    return [entry.buffers[name] for entry in entries if name in entry.buffers]
