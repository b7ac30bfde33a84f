"""Update kernels: gradient norms and clipping, the finite guard, and the optimizers' steps.

They work on lists of segments. A parameter is cut into segments of at most SEGMENT elements; a kernel gets all segments
of all parameters at once, S of each kind of buffer, and splits them over the threads. Sums are made per segment and
added in order, so that no bit depends on the thread count.
"""

from cython.parallel cimport prange
from libc.math cimport INFINITY, fabs, isfinite, pow, sqrt

from minidl.kernels.kernel cimport NONFINITE, OK, real, threads

from minidl.kernels.kernel import Kernel

SEGMENT = 16384

cdef enum:
    PARALLEL_SEGMENTS = 4
    LANES = 64

cdef enum:
    RAISE
    SKIP
    ZERO

POLICIES = {"raise": RAISE, "skip": SKIP, "zero": ZERO}


# Norms and clipping ----------------------------------------------------------------------------------------------

cdef inline double _power_sum(const real *x, Py_ssize_t n, double power) noexcept nogil:
    # sum of |x|^power, the largest |x| if power is infinite; NaN if there is one
    cdef Py_ssize_t i, j
    cdef double total = 0, magnitude
    cdef double[LANES] lane
    if power == 2:
        # sums side by side, in an order that never changes: a single sum would wait for every addition
        for j in range(LANES):
            lane[j] = 0
        for i in range(n // LANES):
            for j in range(LANES):
                lane[j] += <double>x[i * LANES + j] * <double>x[i * LANES + j]
        for i in range(n - n % LANES, n):
            total += <double>x[i] * <double>x[i]
        for j in range(LANES):
            total += lane[j]
        return total
    for i in range(n):
        magnitude = fabs(<double>x[i])
        if power == INFINITY:
            total = magnitude if magnitude > total or magnitude != magnitude else total
            if total != total:
                return total
        else:
            total += magnitude if power == 1 else pow(magnitude, power)
    return total


cdef int _clip_norm(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # norm[1], partial[S] (double), S gradients; n: S, sizes[S]; a: max_norm, power, policy
    cdef Py_ssize_t s, i, S = n[0]
    cdef double max_norm = a[0], power = a[1], total = 0, value
    cdef double *partial = <double *>p[1]
    cdef real **g = p + 2
    cdef real scale
    for s in prange(S, schedule="static", num_threads=threads(), use_threads_if=S >= PARALLEL_SEGMENTS):
        partial[s] = _power_sum(g[s], n[1 + s], power)
    for s in range(S):
        if power == INFINITY:
            total = partial[s] if partial[s] > total or partial[s] != partial[s] else total
            if total != total:
                break
        else:
            total += partial[s]
    value = total if power == 1 or power == INFINITY else sqrt(total) if power == 2 else pow(total, 1 / power)
    p[0][0] = <real>value
    if not isfinite(value):
        if a[2] == RAISE:
            return NONFINITE
        if a[2] == ZERO:
            for s in range(S):
                for i in range(n[1 + s]):
                    g[s][i] = 0
        return OK
    if value + 1e-6 > max_norm:
        scale = <real>(max_norm / (value + 1e-6))
        for s in prange(S, schedule="static", num_threads=threads(), use_threads_if=S >= PARALLEL_SEGMENTS):
            _scale(g[s], n[1 + s], scale)
    return OK


cdef inline void _scale(real *x, Py_ssize_t n, real factor) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        x[i] *= factor


cdef int _clip_value(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S gradients; n: S, sizes[S]; a: limit. NaN stays NaN
    cdef Py_ssize_t s, S = n[0]
    for s in prange(S, schedule="static", num_threads=threads(), use_threads_if=S >= PARALLEL_SEGMENTS):
        _clamp(p[s], n[1 + s], <real>a[0])
    return OK


cdef inline void _clamp(real *x, Py_ssize_t n, real limit) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        x[i] = limit if x[i] > limit else x[i]
        x[i] = -limit if x[i] < -limit else x[i]


# Finite guard ----------------------------------------------------------------------------------------------------

cdef inline bint _spoiled(const real *x, Py_ssize_t n) noexcept nogil:
    # x - x is 0 for every finite number and NaN for the others
    cdef Py_ssize_t i
    cdef int found = 0
    for i in range(n):
        found |= x[i] - x[i] != 0
    return found


cdef int _guard(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # go[1] (double), spoiled[S] (double), S gradients; n: S, sizes[S]; a: policy
    cdef Py_ssize_t s, i, S = n[0]
    cdef double *go = <double *>p[0]
    cdef double *spoiled = <double *>p[1]
    cdef real **g = p + 2
    cdef double total = 0
    for s in prange(S, schedule="static", num_threads=threads(), use_threads_if=S >= PARALLEL_SEGMENTS):
        spoiled[s] = _spoiled(g[s], n[1 + s])
    for s in range(S):
        total += spoiled[s]
    if total == 0:
        return OK
    if a[0] == RAISE:
        return NONFINITE
    if a[0] == SKIP:
        go[0] = 0
        return OK
    for s in range(S):
        for i in range(n[1 + s]):
            if g[s][i] - g[s][i] != 0:
                g[s][i] = 0
    return OK


# Optimizers ------------------------------------------------------------------------------------------------------

cdef int _advance(double **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # P clocks of (step, 1 - beta1^step, 1 - beta2^step), go[1]; n: P; a: group cells, beta1 and beta2 at 1 and 2
    cdef Py_ssize_t i, P = n[0]
    cdef double *clock
    if p[P][0] == 0:
        return OK
    for i in range(P):
        clock = p[i]
        clock[0] += 1
        if i and clock[0] == p[i - 1][0]:
            clock[1], clock[2] = p[i - 1][1], p[i - 1][2]
        else:
            clock[1], clock[2] = 1 - pow(a[1], clock[0]), 1 - pow(a[2], clock[0])
    return OK


cdef int _sgd(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S x, S momentum or NULL, S g, S clocks (double), go[1]; n: S, sizes[S]
    # a: lr, momentum, dampening, weight_decay, nesterov, maximize
    cdef Py_ssize_t s, S = n[0]
    if (<double *>p[4 * S])[0] == 0:
        return OK
    for s in prange(S, schedule="static", num_threads=threads(), use_threads_if=S >= PARALLEL_SEGMENTS):
        _sgd_segment(p[s], p[S + s], p[2 * S + s], n[1 + s], (<double *>p[3 * S + s])[0] == 1, a)
    return OK


cdef inline void _sgd_segment(
    real *x, real *momentum, const real *g, Py_ssize_t n, bint first, const double *a
) noexcept nogil:
    cdef Py_ssize_t i
    cdef real lr = <real>a[0], mu = <real>a[1], fresh = <real>(1 - a[2]), decay = <real>a[3]
    cdef real sign = -1 if a[5] else 1
    cdef real step
    if momentum == NULL:
        for i in range(n):
            x[i] -= lr * (sign * g[i] + decay * x[i])
        return
    if first:  # the first gradient is not dampened
        mu, fresh = 0, 1
    for i in range(n):
        step = sign * g[i] + decay * x[i]
        momentum[i] = fresh * step if first else mu * momentum[i] + fresh * step
        x[i] -= lr * (step + <real>a[1] * momentum[i] if a[4] else momentum[i])


cdef int _adam(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S x, S mean, S square, S largest square or NULL, S g, S clocks (double), go[1]; n: S, sizes[S]
    # a: lr, beta1, beta2, eps, weight_decay, decoupled, maximize
    cdef Py_ssize_t s, S = n[0]
    if (<double *>p[6 * S])[0] == 0:
        return OK
    for s in prange(S, schedule="static", num_threads=threads(), use_threads_if=S >= PARALLEL_SEGMENTS):
        _adam_segment(p[s], p[S + s], p[2 * S + s], p[3 * S + s], p[4 * S + s], n[1 + s], <double *>p[5 * S + s], a)
    return OK


cdef inline void _adam_segment(
    real *x, real *mean, real *square, real *largest, const real *g, Py_ssize_t n, const double *clock, const double *a
) noexcept nogil:
    cdef Py_ssize_t i
    cdef real beta1 = <real>a[1], beta2 = <real>a[2], fresh1 = <real>(1 - a[1]), fresh2 = <real>(1 - a[2])
    cdef real coupled = 0 if a[5] else <real>a[4]
    cdef real keep = <real>(1 - a[0] * a[4]) if a[5] else 1
    cdef real sign = -1 if a[6] else 1
    # x - lr/c1 * m / (sqrt(v / c2) + eps), with the corrections moved out of the loop
    cdef real rate = <real>(a[0] / clock[1] * sqrt(clock[2])), eps = <real>(a[3] * sqrt(clock[2]))
    cdef real step, v
    for i in range(n):
        step = sign * g[i] + coupled * x[i]
        mean[i] = beta1 * mean[i] + fresh1 * step
        v = beta2 * square[i] + fresh2 * step * step
        square[i] = v
        if largest != NULL:
            largest[i] = v if v > largest[i] else largest[i]
            v = largest[i]
        x[i] = keep * x[i] - rate * mean[i] / (_sqrt(v) + eps)


cdef extern from "<math.h>" nogil:
    float sqrtf(float)


cdef inline real _sqrt(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)


clip_norm = Kernel("clip_norm", {"float32": <size_t>_clip_norm[float], "float64": <size_t>_clip_norm[double]})
clip_value = Kernel("clip_value", {"float32": <size_t>_clip_value[float], "float64": <size_t>_clip_value[double]})
guard = Kernel("guard", {"float32": <size_t>_guard[float], "float64": <size_t>_guard[double]})
advance = Kernel("advance", {"float64": <size_t>_advance})
sgd = Kernel("sgd", {"float32": <size_t>_sgd[float], "float64": <size_t>_sgd[double]})
adam = Kernel("adam", {"float32": <size_t>_adam[float], "float64": <size_t>_adam[double]})
