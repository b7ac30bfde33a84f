"""Kernels for bags of embeddings: sums, means and maxima of rows x[index[b]] of a table, edges[s] <= b < edges[s + 1].

Indices and edges have been checked. An index equal to `skip` is padding; -1 skips none.
"""

from cython.parallel cimport prange
from libc.stdint cimport int64_t

from minidl.kernels.kernel cimport BAD_INDEX, OK, PARALLEL, real, threads

from minidl.kernels.kernel import Kernel

cdef enum:
    BLOCK = 64  # columns whose maxima are found together


cdef int _bag_edges(int64_t **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # edges[S + 1] = offsets[S], then N; or offsets[S + 1] where closed; n: length of offsets, N entries, closed.
    # BAD_INDEX, and nothing written, unless they begin with 0, do not fall, do not exceed N, and end with N if closed.
    cdef Py_ssize_t i, count = n[0], N = n[1]
    cdef bint closed = n[2]
    cdef int64_t low = 0, high = 0
    for i in range(count):
        if closed and i == count - 1:
            low = N
        if p[1][i] < low or p[1][i] > high:
            return BAD_INDEX
        low, high = p[1][i], N
    for i in range(count):
        p[0][i] = p[1][i]
    if not closed:
        p[0][count] = N
    return OK


cdef inline void sum_bag(
    real *y, real *share, const real *x, const int64_t *index, const real *weight, Py_ssize_t low, Py_ssize_t high,
    Py_ssize_t D, Py_ssize_t skip, bint mean,
) noexcept nogil:
    cdef Py_ssize_t b, i, count = 0
    cdef const real *row
    cdef real w = 1
    for i in range(D):
        y[i] = 0
    for b in range(low, high):
        if index[b] == skip:
            continue
        count += 1
        row = x + index[b] * D
        if weight != NULL:
            w = weight[b]
        for i in range(D):
            y[i] = y[i] + w * row[i]
    if mean and count:
        w = <real>1 / count
        for i in range(D):
            y[i] = y[i] * w
    for b in range(low, high):
        if index[b] == skip:
            share[b] = 0
        else:
            share[b] = w if weight == NULL else weight[b]


cdef int _sum_bags(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # p: y[S, D] share[N], x[P, D] index[N] edges[S + 1] weight[N]; n: S D skip mean;
    # share is the factor of every row: its weight, or without weights 1, or with mean 1 / length of its bag
    cdef Py_ssize_t s, S = n[0], D = n[1], skip = n[2], mean = n[3]
    cdef const int64_t *index = <int64_t *>p[3]
    cdef const int64_t *edges = <int64_t *>p[4]
    cdef Py_ssize_t work = edges[S] * (1 + D // 16)  # a row is found, then added in vectors
    for s in prange(S, schedule="static", num_threads=threads(), use_threads_if=work >= PARALLEL):
        sum_bag(p[0] + s * D, p[1], p[2], index, p[5], edges[s], edges[s + 1], D, skip, mean)
    return OK


cdef inline bint exceeds(real b, real a) noexcept nogil:
    """Whether b replaces a: the first of equal elements stays, a NaN wins."""
    return (b > a) | (b != b)


cdef inline void max_bag(
    real *y, int64_t *argmax, const real *x, const int64_t *index, Py_ssize_t low, Py_ssize_t high, Py_ssize_t D,
    Py_ssize_t skip, Py_ssize_t width,
) noexcept nogil:
    """`width` columns of a bag, at most BLOCK."""
    cdef real best[BLOCK]
    cdef int at[BLOCK]
    cdef Py_ssize_t b, i
    cdef const real *row
    while low < high and index[low] == skip:
        low += 1
    for i in range(width):
        best[i] = x[index[low] * D + i] if low < high else 0
        at[i] = 0
    for b in range(low + 1, high):
        if index[b] == skip:
            continue
        row = x + index[b] * D
        for i in range(width):
            at[i] = <int>(b - low) if exceeds(row[i], best[i]) else at[i]
            best[i] = row[i] if exceeds(row[i], best[i]) else best[i]
    for i in range(width):
        y[i] = best[i]
        argmax[i] = index[low + at[i]] if low < high else -1


cdef int _max_bags(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # p: y[S, D] argmax[S, D], x[P, D] index[N] edges[S + 1]; n: S D skip; an empty bag is 0 and its argmax -1
    cdef Py_ssize_t i, s, start, S = n[0], D = n[1], skip = n[2], blocks = (D + BLOCK - 1) // BLOCK
    cdef int64_t *argmax = <int64_t *>p[1]
    cdef const int64_t *index = <int64_t *>p[3]
    cdef const int64_t *edges = <int64_t *>p[4]
    cdef Py_ssize_t work = edges[S] * (1 + D // 16)
    for i in prange(S * blocks, schedule="static", num_threads=threads(), use_threads_if=work >= PARALLEL):
        s = i // blocks
        start = i % blocks * BLOCK
        max_bag(p[0] + s * D + start, argmax + s * D + start, p[2] + start, index, edges[s], edges[s + 1], D, skip,
                min(<Py_ssize_t>BLOCK, D - start))
    return OK


bag_edges = Kernel("bag_edges", {"int64": <size_t>_bag_edges})
sum_bags = Kernel("sum_bags", {"float32": <size_t>_sum_bags[float], "float64": <size_t>_sum_bags[double]})
max_bags = Kernel("max_bags", {"float32": <size_t>_max_bags[float], "float64": <size_t>_max_bags[double]})
