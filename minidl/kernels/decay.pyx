"""Update kernels of decays: what pulls weights towards 0."""

from libc.math cimport fabs, sqrt

from minidl.kernels.kernel cimport NONFINITE, OK, real
from minidl.kernels.statistics cimport note
from minidl.kernels.update cimport RAISE, ZERO, each, finite, segment_t, square_sum

from minidl.kernels.kernel import Kernel

cdef enum:
    BLOCK = 1024  # numbers that are changed, and squared, while they are in the cache


cdef void _l1_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    # partial[s], partial[S + s] = |g|^2 before and after
    cdef Py_ssize_t i = 0, j, size, S = n[0]
    cdef real *g = p[s]
    cdef const real *x = p[S + s]
    cdef double *partial = <double *>p[2 * S]
    cdef real rate = <real>a[0], none = 0
    partial[s], partial[S + s] = 0, 0
    while i < n[1 + s]:
        size = min(n[1 + s] - i, <Py_ssize_t>BLOCK)
        partial[s] += square_sum(g + i, size)
        for j in range(i, i + size):
            g[j] += (rate if x[j] > 0 else none) - (rate if x[j] < 0 else none)
        partial[S + s] += square_sum(g + i, size)
        i += size


cdef void _l2_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    # as above
    cdef Py_ssize_t i = 0, j, size, S = n[0]
    cdef real *g = p[s]
    cdef const real *x = p[S + s]
    cdef double *partial = <double *>p[2 * S]
    cdef real rate = <real>a[0]
    partial[s], partial[S + s] = 0, 0
    while i < n[1 + s]:
        size = min(n[1 + s] - i, <Py_ssize_t>BLOCK)
        partial[s] += square_sum(g + i, size)
        for j in range(i, i + size):
            g[j] += rate * x[j]
        partial[S + s] += square_sum(g + i, size)
        i += size


cdef int _coupled(segment_t work, real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S g, S x, partial[2 S], statistics (both double); a: rate, policy
    cdef Py_ssize_t s, i, S = n[0]
    cdef const double *partial = <double *>p[2 * S]
    cdef double before = 0, after = 0
    each(work, p, n, a)
    for s in range(S):
        before += partial[s]
        after += partial[S + s]
    note(<double *>p[2 * S + 1], sqrt(before), sqrt(after), a[0] != 0)
    if not finite(after):
        if a[1] == RAISE:
            return NONFINITE
        if a[1] == ZERO:
            for s in range(S):
                for i in range(n[1 + s]):
                    p[s][i] = 0
    return OK


cdef int _l1_decay(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return _coupled(_l1_segment[real], p, n, a)


cdef int _l2_decay(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return _coupled(_l2_segment[real], p, n, a)


cdef void _shrink(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    # partial[s] = |x|^2 before
    cdef Py_ssize_t i = 0, j, size, S = n[0]
    cdef real *x = p[s]
    cdef double *partial = <double *>p[S + 1]
    cdef real keep = <real>(1 - (<double *>p[S])[0] * a[0])
    partial[s] = 0
    while i < n[1 + s]:
        size = min(n[1 + s] - i, <Py_ssize_t>BLOCK)
        partial[s] += square_sum(x + i, size)
        for j in range(i, i + size):
            x[j] *= keep
        i += size


cdef int _weight_decay(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S x, lr[1], partial[S], statistics (all three double); a: rate
    cdef Py_ssize_t s, S = n[0]
    cdef double keep = 1 - (<double *>p[S])[0] * a[0], total = 0
    each(_shrink[real], p, n, a)
    for s in range(S):
        total += (<double *>p[S + 1])[s]
    note(<double *>p[S + 2], sqrt(total), fabs(keep) * sqrt(total), keep != 1)
    return OK


l1_decay = Kernel("l1_decay", {"float32": <size_t>_l1_decay[float], "float64": <size_t>_l1_decay[double]})
l2_decay = Kernel("l2_decay", {"float32": <size_t>_l2_decay[float], "float64": <size_t>_l2_decay[double]})
weight_decay = Kernel(
    "weight_decay", {"float32": <size_t>_weight_decay[float], "float64": <size_t>_weight_decay[double]}
)
