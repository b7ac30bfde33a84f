"""What updates share: the loop over segments, sums of squares, the finite guard, the optimizers' clocks.

Update kernels work on lists of segments. Parameters are cut into segments of at most SEGMENT elements; a kernel gets
all S of them at once, S buffers of each kind and ``n = S, sizes[S]``, and splits them over the threads. Sums are made
per segment and added in order, so that no bit depends on the thread count.
"""

from cython.parallel cimport prange

from minidl.kernels.kernel cimport NONFINITE, OK, flush_denormals, real, restore_denormals, threads
from minidl.kernels.update cimport RAISE, SKIP, ZERO, segment_t

from minidl.kernels.kernel import Kernel

SEGMENT = 16384

cdef enum:
    LANES = 64
    SHORT = 1024  # squares that are added as floats, before their sum is added as a double
    FEW = 50000  # elements that one thread passes over before another has woken up

ctypedef fused sum_t:
    float
    double

cdef double LEAST = 1e-24, MOST = 1e30  # between them no sum has lost more than float's rounding

POLICIES = {"raise": RAISE, "skip": SKIP, "zero": ZERO}


cdef void each(segment_t work, real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """Work on segment s, for every s."""
    cdef Py_ssize_t s, size = 0
    cdef unsigned int denormals
    for s in range(n[0]):
        size += n[1 + s]
    if size < FEW or threads() == 1:
        denormals = flush_denormals()
        for s in range(n[0]):
            work(p, n, a, s)
        restore_denormals(denormals)
    else:
        for s in prange(n[0], schedule="static", num_threads=threads()):
            _flushed(work, p, n, a, s)


cdef inline void _flushed(
    segment_t work, real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s
) noexcept nogil:
    cdef unsigned int denormals = flush_denormals()
    work(p, n, a, s)
    restore_denormals(denormals)


# Sums ------------------------------------------------------------------------------------------------------------

cdef double square_sum(const real *x, Py_ssize_t n) noexcept nogil:
    # sums of few floats are exact enough, unless a square may have been too small or too large for one
    cdef double total = 0
    cdef Py_ssize_t i = 0
    if real is float:
        while i < n:
            total += _square_lanes(x + i, min(n - i, <Py_ssize_t>SHORT), <float>0)
            i += SHORT
        if LEAST < total < MOST:
            return total
    return _square_lanes(x, n, <double>0)


cdef double square_distance(const real *x, const real *y, Py_ssize_t n) noexcept nogil:
    # the sum of (x - y)^2
    cdef real[SHORT] d
    cdef Py_ssize_t i, size
    cdef double total = 0
    while n > 0:
        size = min(n, <Py_ssize_t>SHORT)
        for i in range(size):
            d[i] = x[i] - y[i]
        total += square_sum(d, size)
        x, y, n = x + size, y + size, n - size
    return total


cdef inline sum_t _square_lanes(const real *x, Py_ssize_t n, sum_t total) noexcept nogil:
    # sums side by side, in an order that never changes: a single sum would wait for every addition
    cdef sum_t[LANES] lane
    cdef Py_ssize_t i, j
    for j in range(LANES):
        lane[j] = 0
    for i in range(n // LANES):
        for j in range(LANES):
            lane[j] += <sum_t>x[i * LANES + j] * <sum_t>x[i * LANES + j]
    x += n - n % LANES
    for j in range(n % LANES):
        lane[j] += <sum_t>x[j] * <sum_t>x[j]
    for j in range(LANES // 2):
        lane[j] += lane[j + LANES // 2]
    for j in range(LANES // 4):
        lane[j] += lane[j + LANES // 4]
    for j in range(LANES // 8):
        lane[j] += lane[j + LANES // 8]
    for j in range(LANES // 8):
        total += lane[j]
    return total


# Finite guard ----------------------------------------------------------------------------------------------------

cdef void _look(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    # spoiled[s] = whether g holds a NaN or an Inf: x - x is 0 for every other number
    cdef const real *g = p[2 + s]
    cdef Py_ssize_t i
    cdef int found = 0
    for i in range(n[1 + s]):
        found |= g[i] - g[i] != 0
    (<double *>p[1])[s] = found


cdef int _guard(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # go[1] (double), spoiled[S] (double), S g; a: policy
    cdef Py_ssize_t s, i
    cdef double found = 0
    each(_look[real], p, n, a)
    for s in range(n[0]):
        found += (<double *>p[1])[s]
    if found:
        if a[0] == RAISE:
            return NONFINITE
        if a[0] == SKIP:
            (<double *>p[0])[0] = 0
        else:
            for s in range(n[0]):
                for i in range(n[1 + s]):
                    if p[2 + s][i] - p[2 + s][i] != 0:
                        p[2 + s][i] = 0
    return OK


# Optimizers ------------------------------------------------------------------------------------------------------

cdef int step(segment_t work, int kinds, real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """What an optimizer's kernel does: each segment, unless go[1], which lies behind `kinds` buffers of each, is 0."""
    if (<double *>p[kinds * n[0]])[0] != 0:
        each(work, p, n, a)
    return OK


cdef int _advance(double **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # C clocks, which begin with the number of steps taken, go[1]; n: C
    cdef Py_ssize_t i, C = n[0]
    if p[C][0] != 0:
        for i in range(C):
            p[i][0] += 1
    return OK


guard = Kernel("guard", {"float32": <size_t>_guard[float], "float64": <size_t>_guard[double]})
advance = Kernel("advance", {"float64": <size_t>_advance})
