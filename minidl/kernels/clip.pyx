"""Update kernels that scale or clamp gradients.

p: norm[1] or NULL, partial[S] (double), S g, and behind them what each kernel says; n: S, sizes[S]. While a kernel
works, partial[s] is first the sum of a segment, then its factor.
"""

from libc.math cimport INFINITY, fabs, pow, sqrt
from libc.string cimport memmove

from minidl.kernels.kernel cimport NONFINITE, OK, real
from minidl.kernels.statistics cimport note
from minidl.kernels.update cimport RAISE, ZERO, each, finite, larger, square_sum

from minidl.kernels.kernel import Kernel

cdef enum:
    LANES = 64


cdef void _power_sum(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    # partial[s] = sum of |g|^power, or the largest |g|; a: power
    cdef const real *g = p[2 + s]
    cdef double power = a[0], total = 0
    cdef Py_ssize_t i
    if power == 2:
        total = square_sum(g, n[1 + s])
    elif power == INFINITY:
        for i in range(n[1 + s]):
            total = larger(total, fabs(<double>g[i]))
    elif power == 1:
        for i in range(n[1 + s]):
            total += fabs(<double>g[i])
    else:
        for i in range(n[1 + s]):
            total += pow(fabs(<double>g[i]), power)
    (<double *>p[1])[s] = total


cdef inline double _together(double x, double y, double power) noexcept nogil:
    return larger(x, y) if power == INFINITY else x + y


cdef inline double _rooted(double total, double power) noexcept nogil:
    return total if power == 1 or power == INFINITY else sqrt(total) if power == 2 else pow(total, 1 / power)


cdef double _norm(real **p, const Py_ssize_t *n, double power) noexcept nogil:
    # norm[1] = that of all S g together
    cdef Py_ssize_t s
    cdef double total = 0
    each(_power_sum[real], p, n, &power)
    for s in range(n[0]):
        total = _together(total, (<double *>p[1])[s], power)
    p[0][0] = <real>_rooted(total, power)
    return p[0][0]


cdef void _scale(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    # g *= partial[s], where 0 removes NaN and Inf, too
    cdef real *g = p[2 + s]
    cdef real factor = <real>(<double *>p[1])[s]
    cdef Py_ssize_t i
    if factor == 0:
        for i in range(n[1 + s]):
            g[i] = 0
    elif factor != 1:
        for i in range(n[1 + s]):
            g[i] *= factor


cdef int _shrink(
    real **p, const Py_ssize_t *n, double norm, double size, double limit, double policy, double *statistics
) noexcept nogil:
    # g *= limit / size where size is larger
    cdef Py_ssize_t s
    cdef double factor = 1, after = norm
    if not finite(norm) and policy == ZERO:
        factor, after = 0, 0
    elif finite(norm) and size > limit:
        factor, after = limit / size, limit
    if factor != 1:
        for s in range(n[0]):
            (<double *>p[1])[s] = factor
        each(_scale[real], p, n, NULL)
    note(statistics, norm, after, factor != 1)
    return NONFINITE if policy == RAISE and not finite(norm) else OK


cdef int _total_norm(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # a: power, policy
    cdef double norm = _norm(p, n, a[0])
    return NONFINITE if a[1] == RAISE and not finite(norm) else OK


cdef int _clip_norm(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # statistics; a: max_norm, power, policy
    cdef double norm = _norm(p, n, a[1])
    return _shrink(p, n, norm, norm + 1e-6, a[0], a[2], <double *>p[2 + n[0]])


cdef int _clip_with_norm(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # total_norm[1], statistics; a: max_norm, policy
    cdef double norm = p[2 + n[0]][0]
    return _shrink(p, n, norm, norm + 1e-6, a[0], a[1], <double *>p[3 + n[0]])


cdef int _clip_parameter_norm(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # statistics; n: S, sizes[S], first segment of the same parameter[S]; a: max_norm, power, policy
    cdef Py_ssize_t s, S = n[0]
    cdef double *partial = <double *>p[1]
    cdef double norm, largest = 0
    cdef bint acted = False
    cdef const Py_ssize_t *first = n + 1 + S
    each(_power_sum[real], p, n, a + 1)
    for s in range(S):
        if first[s] != s:
            partial[first[s]] = _together(partial[first[s]], partial[s], a[1])
    for s in range(S):
        if first[s] == s:
            norm = _rooted(partial[s], a[1])
            largest = larger(largest, norm)
            partial[s] = min(1, a[0] / (norm + 1e-6)) if finite(norm) else 0 if a[2] == ZERO else 1
            acted = acted or partial[s] != 1
        else:
            partial[s] = partial[first[s]]
    note(<double *>p[2 + S], largest, min(largest, a[0]), acted)
    if a[2] == RAISE and not finite(largest):
        return NONFINITE
    each(_scale[real], p, n, NULL)
    return OK


cdef void _clamp(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    # partial[s] = the largest |g|, which a NaN leaves out and which stays NaN itself; a: limit
    cdef real *g = p[2 + s]
    cdef real limit = <real>a[0]
    cdef real[LANES] lane
    cdef real found = 0
    cdef Py_ssize_t i, j, size = n[1 + s]
    for j in range(LANES):
        lane[j] = 0
    for i in range(size // LANES):
        for j in range(LANES):
            _clamp_one(g + i * LANES + j, limit, lane + j)
    g += size - size % LANES
    for j in range(size % LANES):
        _clamp_one(g + j, limit, lane + j)
    for j in range(LANES):
        found = lane[j] if lane[j] > found else found
    (<double *>p[1])[s] = found


cdef inline void _clamp_one(real *g, real limit, real *largest) noexcept nogil:
    cdef real x = g[0], size = -x if x < 0 else x
    largest[0] = size if size > largest[0] else largest[0]
    x = limit if x > limit else x
    g[0] = -limit if x < -limit else x


cdef int _clip_value(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # statistics; a: limit
    cdef Py_ssize_t s
    cdef double largest = 0
    each(_clamp[real], p, n, a)
    for s in range(n[0]):
        largest = max(largest, (<double *>p[1])[s])
    note(<double *>p[2 + n[0]], largest, min(largest, a[0]), largest > a[0])
    return OK


# Limits that follow the norms seen so far --------------------------------------------------------------------------

cdef Py_ssize_t _place(const double *ordered, Py_ssize_t count, double value) noexcept nogil:
    # how many of them are smaller
    cdef Py_ssize_t low = 0, high = count, middle
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


cdef void _remember(double norm, double *clock, double *ring, double *ordered, Py_ssize_t history) noexcept nogil:
    cdef Py_ssize_t count = <Py_ssize_t>clock[0], oldest = <Py_ssize_t>clock[1], i
    if count == history:
        count -= 1
        i = _place(ordered, count, ring[oldest])
        memmove(ordered + i, ordered + i + 1, (count - i) * sizeof(double))
    i = _place(ordered, count, norm)
    memmove(ordered + i + 1, ordered + i, (count - i) * sizeof(double))
    ordered[i], ring[oldest] = norm, norm
    clock[0], clock[1] = count + 1, (oldest + 1) % history


cdef double _percentile(const double *ordered, Py_ssize_t count, double percentile) noexcept nogil:
    # between the two values that are nearest
    cdef double at = (count - 1) * percentile / 100
    cdef Py_ssize_t low = <Py_ssize_t>at, high = min(low + 1, count - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


cdef int _auto_clip(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # statistics, clock[2] of (count, place of the oldest), ring[H], the same in order[H] (all double)
    # n: S, sizes[S], H; a: percentile, policy
    cdef Py_ssize_t S = n[0]
    cdef double *clock = <double *>p[3 + S]
    cdef double norm = _norm(p, n, 2), limit = norm
    if finite(norm):
        _remember(norm, clock, <double *>p[4 + S], <double *>p[5 + S], n[1 + S])
        limit = _percentile(<double *>p[5 + S], <Py_ssize_t>clock[0], a[0])
    return _shrink(p, n, norm, norm, limit, a[1], <double *>p[2 + S])


cdef int _z_clip(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # statistics, moments[3] of (steps, mean, variance) (all double); a: z_threshold, alpha, warmup, policy
    cdef double *moments = <double *>p[3 + n[0]]
    cdef double steps = moments[0], mean = moments[1], variance = moments[2]
    cdef double norm = _norm(p, n, 2), limit = norm, keep = a[1]
    if finite(norm):
        if steps >= a[2] and variance > 0 and norm > mean + a[0] * sqrt(variance):
            limit = mean + a[0] * a[0] * variance / (norm - mean)
        if steps < a[2]:  # plain mean and variance
            moments[1] = mean + (limit - mean) / (steps + 1)
            moments[2] = variance + ((limit - mean) * (limit - moments[1]) - variance) / (steps + 1)
        else:
            moments[1] = keep * mean + (1 - keep) * limit
            moments[2] = keep * variance + (1 - keep) * (limit - moments[1]) * (limit - moments[1])
        moments[0] = steps + 1
    return _shrink(p, n, norm, norm, limit, a[3], <double *>p[2 + n[0]])


total_norm = Kernel("total_norm", {"float32": <size_t>_total_norm[float], "float64": <size_t>_total_norm[double]})
clip_norm = Kernel("clip_norm", {"float32": <size_t>_clip_norm[float], "float64": <size_t>_clip_norm[double]})
clip_with_norm = Kernel(
    "clip_with_norm", {"float32": <size_t>_clip_with_norm[float], "float64": <size_t>_clip_with_norm[double]}
)
clip_parameter_norm = Kernel(
    "clip_parameter_norm",
    {"float32": <size_t>_clip_parameter_norm[float], "float64": <size_t>_clip_parameter_norm[double]},
)
clip_value = Kernel("clip_value", {"float32": <size_t>_clip_value[float], "float64": <size_t>_clip_value[double]})
auto_clip = Kernel("auto_clip", {"float32": <size_t>_auto_clip[float], "float64": <size_t>_auto_clip[double]})
z_clip = Kernel("z_clip", {"float32": <size_t>_z_clip[float], "float64": <size_t>_z_clip[double]})
