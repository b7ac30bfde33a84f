"""The number of threads, for Cython's and Numba's kernels alike."""

import os
import sys

from minidl.kernels import kernel


def set_num_threads(count):
    """Number of threads that kernels may use; the results do not depend on it.

    Parameters
    ----------
    count : int
        At least 1.
    """
    kernel.set_num_threads(count)
    compiler = sys.modules.get("minidl.kernels.backward.compiler")
    if compiler is not None:  # otherwise Numba is not loaded yet, and asks when it is
        compiler.follow_num_threads()


# A child of fork has none of its parent's threads: entering a parallel region there hangs, or kills the process.
os.register_at_fork(after_in_child=lambda: set_num_threads(1))
