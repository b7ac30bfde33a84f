"""Batch normalisation of a matrix by columns, and running statistics; see normalization.pxd."""

from cython.parallel cimport prange
from libc.stdint cimport int64_t

from minidl.kernels.kernel cimport OK, PARALLEL, real, threads
from minidl.kernels.normalization cimport LANES, TERMS, finish, settle

from minidl.kernels.kernel import Kernel

cdef enum:
    FEWEST = 16  # columns of one thread: a cache line


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


columns = Kernel("normalize_columns", {"float32": <size_t>_columns[float], "float64": <size_t>_columns[double]})
track = Kernel("track", {"float32": <size_t>_track[float], "float64": <size_t>_track[double]})
