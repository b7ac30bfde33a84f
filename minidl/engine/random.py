"""Random state: one counter for the kernels, one NumPy generator for initial values and shuffles."""

import functools
import os

import numpy as np

from minidl.engine import memory
from minidl.engine.state import outside_recordings


class Generator:
    """The source of randomness of one process.

    Attributes
    ----------
    counter : ndarray of uint64, shape (2,)
        Seed and number of draws so far. Random kernels read it, hash it with the element's index and
        count it up, so a mask depends on the seed and on the order of the draws, never on the threads.
    """

    def __init__(self):
        self.counter = memory.allocate(2, np.uint64)
        self.seed(int.from_bytes(os.urandom(8), "little") >> 1)

    def seed(self, value):
        """Start again from `value`, in place: recorded steps see it."""
        self.counter[:] = value, 0
        self.__dict__.pop("numpy", None)

    @functools.cached_property
    def numpy(self):
        """NumPy's generator, made when first needed: importing numpy.random costs as much as the engine itself."""
        return np.random.default_rng(int(self.counter[0]))


generator = Generator()


def manual_seed(seed):
    """Seed every random draw of the process.

    Parameters
    ----------
    seed : int
        0 <= seed < 2**63.
    """
    outside_recordings("manual_seed")
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise ValueError(f"manual_seed: got {seed!r}, expected an integer with 0 <= seed < 2**63")
    generator.seed(int(seed))
    return generator
