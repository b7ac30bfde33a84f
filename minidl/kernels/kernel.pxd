# The one shape of every kernel in minidl, Cython's and Numba's alike:
#
#     int kernel(real **p, const Py_ssize_t *n, const double *a)
#
# p: buffers, outputs first, then inputs; n: sizes, dims named where they are read; a: scalars.
# A kernel never allocates, never touches a Python object and returns 0, or a status that stops the tape.

from libc.stdint cimport int64_t, uint8_t

ctypedef int (*kernel_t)(void **p, const Py_ssize_t *n, const double *a) noexcept nogil

ctypedef fused real:
    float
    double

ctypedef fused number:
    float
    double
    int64_t

ctypedef fused element:
    float
    double
    int64_t
    uint8_t

# What a kernel may return; anything but OK stops the tape and becomes an exception with the node's name.
cpdef enum Status:
    OK = 0
    BAD_INDEX = 1
    NONFINITE = 2
    STALE = 3
    SPIKE = 4

# Below this many elements, or multiplications per thread, a parallel region costs more than it saves.
cpdef enum:
    PARALLEL = 32768
    SERIAL = 150000

cdef int threads() noexcept nogil

cdef extern from "denormals.h" nogil:
    unsigned int flush_denormals() noexcept
    void restore_denormals(unsigned int before) noexcept
