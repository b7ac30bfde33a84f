"""Weights by norm: g v / |v|, and w / sigma(w) with its power iteration.

A weight is a block [outer, C, inner], and unit c of C owns the parts [:, c, :].
"""

from cython.parallel cimport prange
from libc.math cimport INFINITY, sqrt

from minidl.kernels.kernel cimport OK, PARALLEL, real, threads
from minidl.kernels.normalization cimport dot

from minidl.kernels.kernel import Kernel

cdef enum:
    COLUMNS = 256  # columns of one thread


# Norms of units ---------------------------------------------------------------------------------------------------

cdef void unit(real **p, const Py_ssize_t *n, Py_ssize_t c) noexcept nogil:
    cdef Py_ssize_t inner = n[2], o, i, start
    cdef double square = 0
    cdef real scale = 0
    for o in range(n[0]):
        start = (o * n[1] + c) * inner
        square += dot(p[2] + start, p[2] + start, inner)
    p[1][c] = <real>sqrt(square)
    if square != 0:  # NaN is not 0 either, and shows
        scale = <real>(p[3][c] / sqrt(square))
    for o in range(n[0]):
        start = (o * n[1] + c) * inner
        for i in range(start, start + inner):
            p[0][i] = p[2][i] * scale


cdef int _weight_norm(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # w, norm[C], v, g[C]; outer, C, inner
    cdef Py_ssize_t c
    if n[0] * n[1] * n[2] < PARALLEL or threads() == 1:
        for c in range(n[1]):
            unit(p, n, c)
    else:
        for c in prange(n[1], schedule="static", num_threads=threads()):
            unit(p, n, c)
    return OK


# The largest singular value ---------------------------------------------------------------------------------------

cdef inline real row_times(const real *w, const real *v, const Py_ssize_t *n, Py_ssize_t c) noexcept nogil:
    """Unit c of W v."""
    cdef double total = 0
    cdef Py_ssize_t o
    for o in range(n[0]):
        total += dot(w + (o * n[1] + c) * n[2], v + o * n[2], n[2])
    return <real>total


cdef void times(real *product, const real *w, const real *v, const Py_ssize_t *n) noexcept nogil:
    """product = W v."""
    cdef Py_ssize_t c
    if n[0] * n[1] * n[2] < PARALLEL or threads() == 1:
        for c in range(n[1]):
            product[c] = row_times(w, v, n, c)
    else:
        for c in prange(n[1], schedule="static", num_threads=threads()):
            product[c] = row_times(w, v, n, c)


cdef void columns_times(
    real *product, const real *w, const real *u, const Py_ssize_t *n, Py_ssize_t block
) noexcept nogil:
    """A block of columns of W^T u."""
    cdef Py_ssize_t blocks = (n[2] + COLUMNS - 1) // COLUMNS
    cdef Py_ssize_t o = block // blocks, first = block % blocks * COLUMNS, c, i, start
    cdef Py_ssize_t last = min(first + COLUMNS, n[2])
    product = product + o * n[2]
    for i in range(first, last):
        product[i] = 0
    for c in range(n[1]):
        start = (o * n[1] + c) * n[2]
        for i in range(first, last):
            product[i] += w[start + i] * u[c]


cdef void transposed_times(real *product, const real *w, const real *u, const Py_ssize_t *n) noexcept nogil:
    """product = W^T u."""
    cdef Py_ssize_t blocks = n[0] * ((n[2] + COLUMNS - 1) // COLUMNS), block
    if n[0] * n[1] * n[2] < PARALLEL or threads() == 1:
        for block in range(blocks):
            columns_times(product, w, u, n, block)
    else:
        for block in prange(blocks, schedule="static", num_threads=threads()):
            columns_times(product, w, u, n, block)


cdef inline void direct(real *u, const real *product, Py_ssize_t size, double eps) noexcept nogil:
    """u = product / |product|; u stays where a product of zeros or with a NaN or an Inf has no direction."""
    cdef double norm = sqrt(dot(product, product, size))
    cdef Py_ssize_t i
    if 0 < norm < INFINITY:
        norm = max(norm, eps)
        for i in range(size):
            u[i] = <real>(product[i] / norm)


cdef int _power_iteration(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # u[C], v[outer inner], w, product[max(C, outer inner)]; outer, C, inner, iterations; a: eps
    for _ in range(n[3]):
        times(p[3], p[2], p[1], n)
        direct(p[0], p[3], n[1], a[0])
        transposed_times(p[3], p[2], p[0], n)
        direct(p[1], p[3], n[0] * n[2], a[0])
    return OK


cdef int _spectral_norm(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y, sigma[1], w, u[C], v[outer inner], product[C]; outer, C, inner
    cdef Py_ssize_t size = n[0] * n[1] * n[2], i
    times(p[5], p[2], p[4], n)
    cdef real sigma = <real>dot(p[3], p[5], n[1])
    p[1][0] = sigma
    if size < PARALLEL or threads() == 1:
        for i in range(size):
            p[0][i] = p[2][i] / sigma
    else:
        for i in prange(size, schedule="static", num_threads=threads()):
            p[0][i] = p[2][i] / sigma
    return OK


weight_norm = Kernel("weight_norm", {"float32": <size_t>_weight_norm[float], "float64": <size_t>_weight_norm[double]})
power_iteration = Kernel(
    "power_iteration", {"float32": <size_t>_power_iteration[float], "float64": <size_t>_power_iteration[double]}
)
spectral_norm = Kernel(
    "spectral_norm", {"float32": <size_t>_spectral_norm[float], "float64": <size_t>_spectral_norm[double]}
)
