"""What updates share: the loop over segments, gradient norms and clipping, the finite guard, the optimizers' clocks.

Update kernels work on lists of segments. Parameters are cut into segments of at most SEGMENT elements; a kernel gets
all S of them at once, S buffers of each kind and ``n = S, sizes[S]``, and splits them over the threads. Sums are made
per segment and added in order, so that no bit depends on the thread count.
"""

from cython.parallel cimport prange
from libc.math cimport INFINITY, fabs, isfinite, pow, sqrt

from minidl.kernels.kernel cimport NONFINITE, OK, flush_denormals, real, restore_denormals, threads
from minidl.kernels.statistics cimport note
from minidl.kernels.update cimport segment_t

from minidl.kernels.kernel import Kernel

SEGMENT = 16384

cdef enum:
    LANES = 64
    FEW = 4  # segments that one thread passes over before another has woken up

cdef enum:
    RAISE
    SKIP
    ZERO

POLICIES = {"raise": RAISE, "skip": SKIP, "zero": ZERO}


cdef void each(segment_t work, real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """Work on segment s, for every s."""
    cdef Py_ssize_t s
    if n[0] < FEW or threads() == 1:
        for s in range(n[0]):
            _flushed(work, p, n, a, s)
    else:
        for s in prange(n[0], schedule="static", num_threads=threads()):
            _flushed(work, p, n, a, s)


cdef inline void _flushed(
    segment_t work, real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s
) noexcept nogil:
    cdef unsigned int denormals = flush_denormals()
    work(p, n, a, s)
    restore_denormals(denormals)


# Norms and clipping ----------------------------------------------------------------------------------------------

cdef void _power_sum(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    # partial[s] = sum of |g|^power; a: max_norm, power
    cdef const real *g = p[2 + s]
    cdef double power = a[1], magnitude, total = 0
    cdef Py_ssize_t i
    if power == 2:
        total = square_sum(g, n[1 + s])
    else:
        for i in range(n[1 + s]):
            magnitude = fabs(<double>g[i])
            if power == INFINITY:  # the largest; a NaN stays
                total = magnitude if not magnitude <= total else total
            else:
                total += magnitude if power == 1 else pow(magnitude, power)
    (<double *>p[1])[s] = total


cdef double square_sum(const real *x, Py_ssize_t n) noexcept nogil:
    # sums side by side, in an order that never changes: a single sum would wait for every addition
    cdef double[LANES] lane
    cdef double total = 0
    cdef Py_ssize_t i, j
    for j in range(LANES):
        lane[j] = 0
    for i in range(n // LANES):
        for j in range(LANES):
            lane[j] += <double>x[i * LANES + j] * <double>x[i * LANES + j]
    x += n - n % LANES
    for j in range(n % LANES):
        lane[j] += <double>x[j] * <double>x[j]
    for j in range(LANES // 2):
        lane[j] += lane[j + LANES // 2]
    for j in range(LANES // 4):
        lane[j] += lane[j + LANES // 4]
    for j in range(LANES // 4):
        total += lane[j]
    return total


cdef void _scale(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    # g *= max_norm / (norm + 1e-6)
    cdef real *g = p[2 + s]
    cdef real factor = <real>(a[0] / (p[0][0] + 1e-6))
    cdef Py_ssize_t i
    for i in range(n[1 + s]):
        g[i] *= factor


cdef int _clip_norm(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # norm[1], partial[S] (double), S g, statistics (double); a: max_norm, power, policy
    cdef Py_ssize_t s, i
    cdef double power = a[1], total = 0, after
    cdef bint acted = False
    cdef double *partial = <double *>p[1]
    each(_power_sum[real], p, n, a)
    for s in range(n[0]):
        if power == INFINITY:
            total = partial[s] if not partial[s] <= total else total
        else:
            total += partial[s]
    p[0][0] = <real>(total if power == 1 or power == INFINITY else sqrt(total) if power == 2 else pow(total, 1 / power))
    after = p[0][0]
    if not isfinite(p[0][0]):
        if a[2] == ZERO:
            acted = True
            for s in range(n[0]):
                for i in range(n[1 + s]):
                    p[2 + s][i] = 0
    elif p[0][0] + 1e-6 > a[0]:
        acted, after = True, a[0]
        each(_scale[real], p, n, a)
    note(<double *>p[2 + n[0]], p[0][0], after, acted)
    return NONFINITE if a[2] == RAISE and not isfinite(p[0][0]) else OK


cdef void _clamp(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    # largest[s] = the largest |g|, which a NaN leaves out and which stays NaN itself; a: limit
    cdef real *g = p[1 + s]
    cdef real limit = <real>a[0]
    cdef real low = 0, high = 0
    cdef Py_ssize_t i
    for i in range(n[1 + s]):
        high = g[i] if g[i] > high else high
        low = g[i] if g[i] < low else low
        g[i] = limit if g[i] > limit else g[i]
        g[i] = -limit if g[i] < -limit else g[i]
    (<double *>p[0])[s] = high if high > -low else -low


cdef int _clip_value(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # largest[S] (double), S g, statistics (double); a: limit
    cdef Py_ssize_t s
    cdef double largest = 0
    each(_clamp[real], p, n, a)
    for s in range(n[0]):
        largest = max(largest, (<double *>p[0])[s])
    note(<double *>p[1 + n[0]], largest, min(largest, a[0]), largest > a[0])
    return OK


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


clip_norm = Kernel("clip_norm", {"float32": <size_t>_clip_norm[float], "float64": <size_t>_clip_norm[double]})
clip_value = Kernel("clip_value", {"float32": <size_t>_clip_value[float], "float64": <size_t>_clip_value[double]})
guard = Kernel("guard", {"float32": <size_t>_guard[float], "float64": <size_t>_guard[double]})
advance = Kernel("advance", {"float64": <size_t>_advance})
