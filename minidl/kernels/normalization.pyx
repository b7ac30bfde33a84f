"""Normalisation of planes and rows: y = (x - mean) rstd weight + bias, with the statistics of normalization.pxd."""

from cython.parallel cimport prange

from minidl.kernels.kernel cimport OK, PARALLEL, real, threads
from minidl.kernels.normalization cimport LANES, TERMS, finish, settle

from minidl.kernels.kernel import Kernel

cdef enum:
    CHUNK = LANES * TERMS


cdef inline void affine(
    real *y, const real *x, const real *residual, real mean, real scale, real shift, Py_ssize_t size, bint relu
) noexcept nogil:
    """y = (x - mean) scale + shift, on a plane."""
    cdef Py_ssize_t i
    if residual == NULL:
        for i in range(size):
            y[i] = finish((x[i] - mean) * scale + shift, relu)
    else:
        for i in range(size):
            y[i] = finish((x[i] - mean) * scale + shift + residual[i], relu)


# Sets of contiguous planes ---------------------------------------------------------------------------------------

cdef inline double drain(real *lane) noexcept nogil:
    """Sum of the lanes, which are 0 afterwards."""
    cdef double total
    cdef Py_ssize_t j
    for j in range(LANES // 2):
        lane[j] += lane[j + LANES // 2]
    for j in range(LANES // 4):
        lane[j] += lane[j + LANES // 4]
    for j in range(LANES // 8):
        lane[j] += lane[j + LANES // 8]
    total = (lane[0] + lane[2]) + (lane[1] + lane[3])
    for j in range(LANES):
        lane[j] = 0
    return total


cdef inline void moments(
    double *plain, double *square, const real *x, real mean, Py_ssize_t K, Py_ssize_t stride, Py_ssize_t inner,
    bint squares,
) noexcept nogil:
    """Sum of x - mean, and of its squares, over K planes."""
    cdef real[LANES] lane
    cdef real[LANES] lane2
    cdef const real *start
    cdef Py_ssize_t k, i, j, left, size, terms = 0
    cdef real d
    plain[0], square[0] = 0, 0
    for j in range(LANES):
        lane[j] = 0
        lane2[j] = 0
    for k in range(K):
        start, left = x + k * stride, inner
        while left:
            size = min(left, CHUNK)
            terms += size // LANES + 1
            if terms > TERMS + 1:
                plain[0] += drain(lane)
                if squares:
                    square[0] += drain(lane2)
                terms = size // LANES + 1
            for i in range(size // LANES):
                for j in range(LANES):
                    d = start[i * LANES + j] - mean
                    lane[j] += d
                    if squares:
                        lane2[j] += d * d
            for j in range(size % LANES):
                d = start[size // LANES * LANES + j] - mean
                lane[j] += d
                if squares:
                    lane2[j] += d * d
            start, left = start + size, left - size
    plain[0] += drain(lane)
    square[0] += drain(lane2)


cdef inline void describe(
    real *stats, Py_ssize_t S, Py_ssize_t s, const real *x, Py_ssize_t K, Py_ssize_t stride, Py_ssize_t inner,
    double eps,
) noexcept nogil:
    """stats of the set s, K planes."""
    cdef double plain, square, count = max(K * inner, 1)
    cdef real mean
    moments(&plain, &square, x, <real>0, K, stride, inner, False)
    mean = <real>(plain / count)
    moments(&plain, &square, x, mean, K, stride, inner, True)
    plain = plain / count
    settle(stats, S, s, mean, plain, square / count - plain * plain, eps)


cdef void set_of_planes(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    cdef Py_ssize_t S = n[0], K = n[1], inner = n[2], step = n[4], C = n[5], k, plane, c
    cdef Py_ssize_t first = s * n[3]
    cdef real *stats = p[1]
    cdef const real *residual = NULL
    cdef real scale, shift
    if p[6] == NULL:
        describe(stats, S, s, p[2] + first * inner, K, step * inner, inner, a[0])
    else:
        settle(stats, S, s, p[6][s], 0, p[7][s], a[0])
    for k in range(K):
        plane = first + k * step
        c = plane % C
        scale = stats[2 * S + s] * p[3][c]
        shift = p[4][c] - stats[S + s] * scale
        if p[5] != NULL:
            residual = p[5] + plane * inner
        if n[6]:
            affine(p[0] + plane * inner, p[2] + plane * inner, residual, stats[s], scale, shift, inner, True)
        else:
            affine(p[0] + plane * inner, p[2] + plane * inner, residual, stats[s], scale, shift, inner, False)


cdef int _planes(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y, stats[4, S], x, weight[C], bias[C], residual, running_mean[S], running_var[S]
    # S, K, inner, planes from set to set, planes from k to k, C, relu; a: eps
    cdef Py_ssize_t s
    if n[0] * n[1] * n[2] < PARALLEL or threads() == 1:
        for s in range(n[0]):
            set_of_planes(p, n, a, s)
    else:
        for s in prange(n[0], schedule="static", num_threads=threads()):
            set_of_planes(p, n, a, s)
    return OK


# Rows ------------------------------------------------------------------------------------------------------------

cdef void row(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t r) noexcept nogil:
    cdef Py_ssize_t R = n[0], L = n[1], i
    cdef const real *x = p[2] + r * L
    cdef const real *weight = p[3] + r % n[2] * L
    cdef const real *bias = p[4] + r % n[2] * L
    cdef real *y = p[0] + r * L
    cdef real mean, rstd, shift
    describe(p[1], R, r, x, 1, 0, L, a[0])
    mean, rstd = p[1][r], p[1][2 * R + r]
    shift = -p[1][R + r] * rstd
    for i in range(L):
        y[i] = ((x[i] - mean) * rstd + shift) * weight[i] + bias[i]


cdef int _rows(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y, stats[4, R], x[R, L], weight[G, L], bias[G, L]; R, L, G: row r takes weight r % G; a: eps
    cdef Py_ssize_t r
    if n[0] * n[1] < PARALLEL or threads() == 1:
        for r in range(n[0]):
            row(p, n, a, r)
    else:
        for r in prange(n[0], schedule="static", num_threads=threads()):
            row(p, n, a, r)
    return OK


planes = Kernel("normalize_planes", {"float32": <size_t>_planes[float], "float64": <size_t>_planes[double]})
rows = Kernel("normalize_rows", {"float32": <size_t>_rows[float], "float64": <size_t>_rows[double]})
