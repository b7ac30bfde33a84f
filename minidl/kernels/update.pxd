# What the kernels of optimizers share with those of update.pyx, where segments are explained.

from libc.math cimport sqrt

from minidl.kernels.kernel cimport real

# What to do about NaN and Inf.
cdef enum:
    RAISE
    SKIP
    ZERO

ctypedef void (*segment_t)(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil

cdef void each(segment_t work, real **p, const Py_ssize_t *n, const double *a) noexcept nogil
cdef int step(segment_t work, int kinds, real **p, const Py_ssize_t *n, const double *a) noexcept nogil
cdef double square_sum(const real *x, Py_ssize_t n) noexcept nogil
cdef double square_distance(const real *x, const real *y, Py_ssize_t n) noexcept nogil

cdef extern from "<math.h>" nogil:
    float sqrtf(float)


cdef inline real root(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef inline bint finite(double x) noexcept nogil:
    return x - x == 0


cdef inline double larger(double x, double y) noexcept nogil:
    # a NaN stays
    return y if y > x or y != y else x
