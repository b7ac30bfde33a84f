"""Penalties on weights: sums in float64, a fixed grid of them, added in order by `total`."""

from cython.parallel cimport prange
from libc.math cimport fabs, sqrt

from minidl.kernels.kernel cimport OK, PARALLEL, real, threads
from minidl.kernels.update cimport square_sum

from minidl.kernels.kernel import Kernel

cdef enum:
    LANES = 64
    PIECE_SIZE = 16384  # elements under one sum

PIECE = PIECE_SIZE

ctypedef double (*sum_t)(const real *x, Py_ssize_t n) noexcept nogil


cdef double magnitude_sum(const real *x, Py_ssize_t n) noexcept nogil:
    """Sum of |x|; side by side, in an order that never changes."""
    cdef double[LANES] lane
    cdef double total = 0
    cdef Py_ssize_t i, j
    for j in range(LANES):
        lane[j] = 0
    for i in range(n // LANES):
        for j in range(LANES):
            lane[j] += fabs(<double>x[i * LANES + j])
    x += n - n % LANES
    for j in range(n % LANES):
        lane[j] += fabs(<double>x[j])
    for j in range(LANES):
        total += lane[j]
    return total


cdef inline int pieces(sum_t f, real **p, const Py_ssize_t *n) noexcept nogil:
    # sums[pieces] (double) = f of each piece of x[N]
    cdef Py_ssize_t i, N = n[0], count = (n[0] + PIECE_SIZE - 1) // PIECE_SIZE
    cdef double *sums = <double *>p[0]
    if N < PARALLEL or threads() == 1:
        for i in range(count):
            sums[i] = f(p[1] + i * PIECE_SIZE, min(N - i * PIECE_SIZE, <Py_ssize_t>PIECE_SIZE))
    else:
        for i in prange(count, schedule="static", num_threads=threads()):
            sums[i] = f(p[1] + i * PIECE_SIZE, min(N - i * PIECE_SIZE, <Py_ssize_t>PIECE_SIZE))
    return OK


cdef int _magnitudes(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return pieces(magnitude_sum[real], p, n)


cdef int _squares(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return pieces(square_sum[real], p, n)


cdef inline void excess(double *square, double *norm, const real *x, Py_ssize_t K, double limit) noexcept nogil:
    norm[0] = sqrt(square_sum(x, K))
    square[0] = 0 if norm[0] < limit else (norm[0] - limit) * (norm[0] - limit)  # a NaN stays


cdef int _excesses(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # squares[rows], norms[rows] (double): |x| of each row of x[rows, K], and max(|x| - a0, 0)^2
    cdef Py_ssize_t r, rows = n[0], K = n[1]
    cdef double *squares = <double *>p[0]
    cdef double *norms = <double *>p[1]
    if rows * K < PARALLEL or threads() == 1:
        for r in range(rows):
            excess(squares + r, norms + r, p[2] + r * K, K, a[0])
    else:
        for r in prange(rows, schedule="static", num_threads=threads()):
            excess(squares + r, norms + r, p[2] + r * K, K, a[0])
    return OK


cdef int _from_identity(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # sums[D] (double), g[D, D]: g -= I, and the sum of g^2 of each row
    cdef Py_ssize_t r, D = n[0]
    cdef double *sums = <double *>p[0]
    for r in range(D):
        p[1][r * D + r] -= 1
        sums[r] = square_sum(p[1] + r * D, D)
    return OK


cdef int _total(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[1] = a0 * sum of sums[S] (double)
    cdef Py_ssize_t s
    cdef double *sums = <double *>p[1]
    cdef double total = 0
    for s in range(n[0]):
        total += sums[s]
    p[0][0] = <real>(a[0] * total)
    return OK


magnitudes = Kernel("magnitudes", {"float32": <size_t>_magnitudes[float], "float64": <size_t>_magnitudes[double]})
squares = Kernel("squares", {"float32": <size_t>_squares[float], "float64": <size_t>_squares[double]})
excesses = Kernel("excesses", {"float32": <size_t>_excesses[float], "float64": <size_t>_excesses[double]})
from_identity = Kernel("from_identity", {
    "float32": <size_t>_from_identity[float], "float64": <size_t>_from_identity[double],
})
total = Kernel("total", {"float32": <size_t>_total[float], "float64": <size_t>_total[double]})
