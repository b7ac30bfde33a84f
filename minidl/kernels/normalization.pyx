"""Normalisation: y = (x - mean) rstd weight + bias, with the mean and rstd = 1 / sqrt(var + eps) of sets of elements.

There is one kernel for each way that a set may lie in memory: whole columns, rows, or planes at a distance. Each leaves
stats[4, S] behind: mean, rest, rstd and var of S sets. The mean is mean + rest, because one float32 is too coarse where
it is large and the deviation small; x - mean is nearly exact, and rest becomes part of the bias.

Source of the corrected two-pass algorithm, which gives both: Chan, Golub, LeVeque, "Algorithms for computing the sample
variance", 1983.
"""

from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdint cimport int64_t

from minidl.kernels.kernel cimport OK, PARALLEL, real, threads

from minidl.kernels.kernel import Kernel

cdef enum:
    LANES = 32  # partial sums side by side: they and their squares fit into 12 AVX2 registers
    TERMS = 64  # terms of a partial sum, before it goes into a double
    CHUNK = 2048  # LANES * TERMS
    FEWEST = 16  # columns of one thread: a cache line


cdef inline void settle(
    real *stats, Py_ssize_t S, Py_ssize_t s, real mean, double rest, double var, double eps
) noexcept nogil:
    var = 0 if var < 0 else var
    stats[s] = mean
    stats[S + s] = <real>rest
    stats[2 * S + s] = <real>(1 / sqrt(var + eps))
    stats[3 * S + s] = <real>var


cdef inline real finish(real y, bint relu) noexcept nogil:
    return 0 if relu and y < 0 else y


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


# Columns ---------------------------------------------------------------------------------------------------------

cdef inline void add_rows(
    real *lane, real *lane2, const real *x, const real *mean, Py_ssize_t C, Py_ssize_t width, Py_ssize_t count,
    bint squares,
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef real d, plain, square
    for j in range(width):
        plain, square = 0, 0
        for i in range(count):
            d = x[i * C + j] - mean[j]
            plain += d
            square += d * d
        lane[j] += plain
        if squares:
            lane2[j] += square


cdef inline void column_moments(
    double *plain, double *square, const real *x, const real *mean, Py_ssize_t N, Py_ssize_t C, Py_ssize_t width,
    bint squares,
) noexcept nogil:
    """Sums of x - mean, and of its squares, over the rows."""
    cdef real[LANES] lane
    cdef real[LANES] lane2
    cdef Py_ssize_t i, j, last, first = 0
    for j in range(width):
        plain[j], square[j] = 0, 0
    while first < N:
        for j in range(width):
            lane[j] = 0
            lane2[j] = 0
        last = min(first + TERMS, N)
        for i in range(first, last - 3, 4):  # four rows at a time, as each addition waits for the one before
            add_rows(lane, lane2, x + i * C, mean, C, width, 4, squares)
        for i in range(last - (last - first) % 4, last):
            add_rows(lane, lane2, x + i * C, mean, C, width, 1, squares)
        for j in range(width):
            plain[j] += lane[j]
            square[j] += lane2[j]
        first += TERMS


cdef inline void block_of_columns(
    real **p, const Py_ssize_t *n, const double *a, Py_ssize_t first, Py_ssize_t width, bint relu
) noexcept nogil:
    cdef Py_ssize_t N = n[0], C = n[1], i, j, count = max(N, 1)
    cdef real *y = p[0] + first
    cdef real *stats = p[1] + first
    cdef const real *x = p[2] + first
    cdef const real *residual = p[5]
    cdef double eps = a[0]
    cdef double[LANES] plain
    cdef double[LANES] square
    cdef real[LANES] mean
    cdef real[LANES] scale
    cdef real[LANES] shift
    if p[6] == NULL:
        for j in range(width):
            mean[j] = 0
        column_moments(plain, square, x, mean, N, C, width, False)
        for j in range(width):
            mean[j] = <real>(plain[j] / count)
        column_moments(plain, square, x, mean, N, C, width, True)
        for j in range(width):
            plain[j] /= count
            settle(stats, C, j, mean[j], plain[j], square[j] / count - plain[j] * plain[j], eps)
    else:
        for j in range(width):
            mean[j] = p[6][first + j]
            settle(stats, C, j, mean[j], 0, p[7][first + j], eps)
    for j in range(width):
        scale[j] = stats[2 * C + j] * p[3][first + j]
        shift[j] = p[4][first + j] - stats[C + j] * scale[j]
    if residual == NULL:
        for i in range(N):
            for j in range(width):
                y[i * C + j] = finish((x[i * C + j] - mean[j]) * scale[j] + shift[j], relu)
    else:
        residual = residual + first
        for i in range(N):
            for j in range(width):
                y[i * C + j] = finish((x[i * C + j] - mean[j]) * scale[j] + shift[j] + residual[i * C + j], relu)


cdef void columns_from(
    real **p, const Py_ssize_t *n, const double *a, Py_ssize_t first, Py_ssize_t width
) noexcept nogil:
    if width == LANES and n[2]:  # known numbers let gcc keep the sums in registers
        block_of_columns(p, n, a, first, LANES, True)
    elif width == LANES:
        block_of_columns(p, n, a, first, LANES, False)
    elif n[2]:
        block_of_columns(p, n, a, first, width, True)
    else:
        block_of_columns(p, n, a, first, width, False)


cdef int _columns(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y, stats[4, C], x[N, C], weight[C], bias[C], residual, running_mean[C], running_var[C]; N, C, relu; a: eps
    cdef Py_ssize_t C = n[1], block
    cdef Py_ssize_t width = LANES
    if n[0] * C < PARALLEL or threads() == 1:
        for block in range((C + width - 1) // width):
            columns_from(p, n, a, block * width, min(width, C - block * width))
    else:
        while width > FEWEST and C < width * threads():
            width = width // 2
        for block in prange((C + width - 1) // width, schedule="static", num_threads=threads()):
            columns_from(p, n, a, block * width, min(width, C - block * width))
    return OK


# Running statistics ----------------------------------------------------------------------------------------------

cdef int _track(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # running_mean[C] or NULL, running_var[C], batches (int64) or NULL, stats[4, N, C]; N, C, values in a set
    # a: momentum; negative for a cumulative average
    cdef Py_ssize_t N = n[0], C = n[1], c, i, S = N * C
    cdef double count = n[2], unbiased = count / (count - 1), rate = a[0], mean, var
    cdef const real *stats = p[3]
    if p[2] != NULL:
        (<int64_t *>p[2])[0] += 1
        if rate < 0:
            rate = 1. / (<int64_t *>p[2])[0]
    if p[0] == NULL or S * n[2] == 0:
        return OK
    for c in range(C):
        mean, var = 0, 0
        for i in range(N):
            mean += <double>stats[i * C + c] + stats[S + i * C + c]
            var += stats[3 * S + i * C + c]
        p[0][c] += <real>(rate * (mean / N - p[0][c]))
        p[1][c] += <real>(rate * (var / N * unbiased - p[1][c]))
    return OK


planes = Kernel("normalize_planes", {"float32": <size_t>_planes[float], "float64": <size_t>_planes[double]})
rows = Kernel("normalize_rows", {"float32": <size_t>_rows[float], "float64": <size_t>_rows[double]})
columns = Kernel("normalize_columns", {"float32": <size_t>_columns[float], "float64": <size_t>_columns[double]})
track = Kernel("track", {"float32": <size_t>_track[float], "float64": <size_t>_track[double]})
