"""What every compiled kernel is made of: the handle that Python passes around, and the thread count."""

import os

import numpy as np

cdef int _threads = 1


cdef int threads() noexcept nogil:
    return _threads


cdef unsigned int flush() noexcept nogil:
    return flush_denormals()


cdef void restore(unsigned int before) noexcept nogil:
    restore_denormals(before)


# for kernels that Numba compiles
threads_address, flush_address, restore_address = <size_t>&threads, <size_t>&flush, <size_t>&restore


def set_num_threads(int count):
    """Number of threads that kernels may use; the results do not depend on it."""
    global _threads
    if count < 1:
        raise ValueError(f"set_num_threads: got {count}, expected at least 1")
    _threads = count


def get_num_threads():
    """Number of threads that kernels may use."""
    return _threads


class Kernel:
    """A named C function in one compiled version per dtype.

    Parameters
    ----------
    name : str
        Shown when a recorded step is printed.
    addresses : dict
        ``{"float32": address, ...}``.
    """

    def __init__(self, name, addresses):
        self.name = name
        self.addresses = {np.dtype(dtype): address for dtype, address in addresses.items()}

    def address(self, dtype):
        """C address of the version for `dtype`; TypeError if there is none."""
        try:
            return self.addresses[dtype]
        except KeyError:
            wanted = ", ".join(str(known) for known in self.addresses)
            raise TypeError(f"{self.name}: got dtype {dtype}, expected one of {wanted}") from None

    def __repr__(self):
        return f"Kernel({self.name})"


wanted = os.environ.get("MINIDL_NUM_THREADS") or str(len(os.sched_getaffinity(0)))
if not wanted.isdecimal() or int(wanted) < 1:
    raise ValueError(f"MINIDL_NUM_THREADS: got {wanted!r}, expected an integer of at least 1")
set_num_threads(int(wanted))
