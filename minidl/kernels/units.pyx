"""Update kernels that look at each output unit by itself: the numbers of a parameter that lead to one output.

Here segments hold whole units; each is worked on while it is in the cache. One that is not finite is left alone, or
set to 0, whatever happens to the others.
"""

from libc.math cimport fabs, sqrt

from minidl.kernels.kernel cimport NONFINITE, OK, real
from minidl.kernels.statistics cimport note
from minidl.kernels.update cimport RAISE, ZERO, each, finite, larger, square_sum

from minidl.kernels.kernel import Kernel

cdef enum:
    LANES = 64
    SHORT = 1024


cdef inline void _scale(real *x, Py_ssize_t n, double by) noexcept nogil:
    # 0 removes NaN and Inf, too
    cdef real factor = <real>by
    cdef Py_ssize_t i
    for i in range(n):
        x[i] = x[i] * factor if factor != 0 else 0


cdef double _largest(const double *partial, Py_ssize_t S) noexcept nogil:
    cdef double found = 0
    cdef Py_ssize_t s
    for s in range(S):
        found = larger(found, partial[s])
    return found


cdef inline int _answer(double largest, double policy) noexcept nogil:
    return NONFINITE if policy == RAISE and not finite(largest) else OK


# Adaptive clipping -----------------------------------------------------------------------------------------------

cdef void _clip_units(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    # partial[s] = the largest |g| / max(|x|, eps)
    cdef Py_ssize_t S = n[0], length = n[1 + S + s], i = 0
    cdef real *g = p[s]
    cdef const real *x = p[S + s]
    cdef double ratio, found = 0
    while i < n[1 + s]:
        ratio = sqrt(square_sum(g + i, length)) / larger(a[1], sqrt(square_sum(x + i, length)))
        found = larger(found, ratio)
        if ratio > a[0] and finite(ratio):
            _scale(g + i, length, a[0] / ratio)
        elif a[2] == ZERO and not finite(ratio):
            _scale(g + i, length, 0)
        i += length
    (<double *>p[2 * S])[s] = found


cdef int _adaptive_clip(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S g, S x, partial[S], statistics (both double); n: S, sizes[S], length of a unit[S]; a: clipping, eps, policy
    cdef double ratio
    each(_clip_units[real], p, n, a)
    ratio = _largest(<double *>p[2 * n[0]], n[0])
    note(<double *>p[2 * n[0] + 1], ratio, min(ratio, a[0]), ratio > a[0])
    return _answer(ratio, a[2])


# Centralisation --------------------------------------------------------------------------------------------------

cdef inline double _sum(const real *x, Py_ssize_t n) noexcept nogil:
    # in doubles where a sum of floats has left float's range, though the floats themselves may be in it
    cdef double total = _lanes(x, n), exact = 0
    cdef Py_ssize_t i
    if finite(total):
        return total
    for i in range(n):
        exact += x[i]
    return exact


cdef inline double _lanes(const real *x, Py_ssize_t n) noexcept nogil:
    # sums side by side, as in update.pyx
    cdef double total = 0
    cdef Py_ssize_t i = 0, j, k, size
    cdef real[LANES] lane
    while i < n:
        size = min(n - i, <Py_ssize_t>SHORT)
        for j in range(LANES):
            lane[j] = 0
        for k in range(size // LANES):
            for j in range(LANES):
                lane[j] += x[i + k * LANES + j]
        for j in range(size % LANES):
            lane[j] += x[i + size - size % LANES + j]
        for j in range(LANES // 2):
            lane[j] += lane[j + LANES // 2]
        for j in range(LANES // 4):
            lane[j] += lane[j + LANES // 4]
        for j in range(LANES // 8):
            lane[j] += lane[j + LANES // 8]
        for j in range(LANES // 8):
            total += lane[j]
        i += size
    return total


cdef void _centralize_units(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    # partial[s] = the largest |mean|
    cdef Py_ssize_t S = n[0], length = n[1 + S + s], i = 0, j
    cdef real *g = p[s]
    cdef double mean, found = 0
    cdef real shift
    while i < n[1 + s]:
        mean = _sum(g + i, length) / length
        found = larger(found, fabs(mean))
        if finite(mean):
            shift = <real>mean
            for j in range(i, i + length):
                g[j] -= shift
        elif a[0] == ZERO:
            _scale(g + i, length, 0)
        i += length
    (<double *>p[S])[s] = found


cdef int _centralize(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S g, partial[S], statistics (both double); n: S, sizes[S], length of a unit[S]; a: policy
    cdef double mean
    each(_centralize_units[real], p, n, a)
    mean = _largest(<double *>p[n[0]], n[0])
    note(<double *>p[n[0] + 1], mean, 0, mean > 0)
    return _answer(mean, a[0])


# Largest norm of weights -----------------------------------------------------------------------------------------

cdef void _project_units(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    # a unit is `repeats` stretches of `length` numbers, `jump` apart; partial[s] = the largest norm
    cdef Py_ssize_t S = n[0], length = n[1 + S + s], repeats = n[1 + 2 * S + s], jump = n[1 + 3 * S + s], unit, i
    cdef real *x
    cdef double norm, factor, found = 0
    for unit in range(n[1 + s]):
        x = p[s] + unit * length
        norm = 0
        for i in range(repeats):
            norm += <double>x[i * jump] * <double>x[i * jump] if length == 1 else square_sum(x + i * jump, length)
        norm = sqrt(norm)
        found = larger(found, norm)
        factor = a[0] / norm if norm > a[0] and finite(norm) else 0 if a[1] == ZERO and not finite(norm) else 1
        if factor != 1:
            for i in range(repeats):
                _scale(x + i * jump, length, factor)
    (<double *>p[S])[s] = found


cdef int _max_norm(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S x, partial[S], statistics (both double); n: S, units[S], length[S], repeats[S], jump[S]; a: max_norm, policy
    cdef double norm
    each(_project_units[real], p, n, a)
    norm = _largest(<double *>p[n[0]], n[0])
    note(<double *>p[n[0] + 1], norm, min(norm, a[0]), norm > a[0])
    return _answer(norm, a[1])


adaptive_clip = Kernel(
    "adaptive_clip", {"float32": <size_t>_adaptive_clip[float], "float64": <size_t>_adaptive_clip[double]}
)
centralize = Kernel("centralize", {"float32": <size_t>_centralize[float], "float64": <size_t>_centralize[double]})
max_norm = Kernel("max_norm", {"float32": <size_t>_max_norm[float], "float64": <size_t>_max_norm[double]})
