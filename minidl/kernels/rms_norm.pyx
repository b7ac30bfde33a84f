"""Normalisation of rows by their root mean square: y = x weight / sqrt(mean(x^2) + eps)."""

from cython.parallel cimport prange
from libc.math cimport sqrt

from minidl.kernels.kernel cimport OK, PARALLEL, real, threads
from minidl.kernels.normalization cimport dot

from minidl.kernels.kernel import Kernel


cdef void row(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t r) noexcept nogil:
    cdef Py_ssize_t L = n[1], i
    cdef const real *x = p[2] + r * L
    cdef const real *weight = p[3]
    cdef real *y = p[0] + r * L
    cdef real scale = <real>(1 / sqrt(dot(x, x, L) / max(L, 1) + a[0]))
    p[1][r] = scale
    for i in range(L):
        y[i] = x[i] * scale * weight[i]


cdef int _rows(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y, scale[R], x[R, L], weight[L]; R, L; a: eps
    cdef Py_ssize_t r
    if n[0] * n[1] < PARALLEL or threads() == 1:
        for r in range(n[0]):
            row(p, n, a, r)
    else:
        for r in prange(n[0], schedule="static", num_threads=threads()):
            row(p, n, a, r)
    return OK


rows = Kernel("rms_norm", {"float32": <size_t>_rows[float], "float64": <size_t>_rows[double]})
