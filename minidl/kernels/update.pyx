"""Update kernels: gradient norms and clipping, the finite guard, and the optimizers' steps.

They work on lists of segments. Parameters are cut into segments of at most SEGMENT elements; a kernel gets all S of
them at once, S buffers of each kind and ``n = S, sizes[S]``, and splits them over the threads. Sums are made per
segment and added in order, so that no bit depends on the thread count.
"""

from cython.parallel cimport prange
from libc.math cimport INFINITY, fabs, isfinite, pow, sqrt

from minidl.kernels.kernel cimport NONFINITE, OK, flush_denormals, real, restore_denormals, threads

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

cdef extern from "<math.h>" nogil:
    float sqrtf(float)

ctypedef void (*segment_t)(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil


cdef inline void _each(segment_t work, real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # work on segment s, for every s
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
        total = _square_sum(g, n[1 + s])
    else:
        for i in range(n[1 + s]):
            magnitude = fabs(<double>g[i])
            if power == INFINITY:  # the largest; a NaN stays
                total = magnitude if not magnitude <= total else total
            else:
                total += magnitude if power == 1 else pow(magnitude, power)
    (<double *>p[1])[s] = total


cdef inline double _square_sum(const real *x, Py_ssize_t n) noexcept nogil:
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
    # norm[1], partial[S] (double), S g; a: max_norm, power, policy
    cdef Py_ssize_t s, i
    cdef double power = a[1], total = 0
    cdef double *partial = <double *>p[1]
    _each(_power_sum[real], p, n, a)
    for s in range(n[0]):
        if power == INFINITY:
            total = partial[s] if not partial[s] <= total else total
        else:
            total += partial[s]
    p[0][0] = <real>(total if power == 1 or power == INFINITY else sqrt(total) if power == 2 else pow(total, 1 / power))
    if not isfinite(p[0][0]):
        if a[2] == RAISE:
            return NONFINITE
        if a[2] == ZERO:
            for s in range(n[0]):
                for i in range(n[1 + s]):
                    p[2 + s][i] = 0
    elif p[0][0] + 1e-6 > a[0]:
        _each(_scale[real], p, n, a)
    return OK


cdef void _clamp(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    # a: limit
    cdef real *g = p[s]
    cdef real limit = <real>a[0]
    cdef Py_ssize_t i
    for i in range(n[1 + s]):
        g[i] = limit if g[i] > limit else g[i]
        g[i] = -limit if g[i] < -limit else g[i]


cdef int _clip_value(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S g; a: limit. NaN stays NaN
    _each(_clamp[real], p, n, a)
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
    _each(_look[real], p, n, a)
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

cdef int _advance(double **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # C clocks of (step, 1 - beta1^step, 1 - beta2^step), go[1]; n: C; a: the group's cells, beta1 and beta2 at 1 and 2
    cdef Py_ssize_t i, C = n[0]
    if p[C][0] == 0:
        return OK
    for i in range(C):
        p[i][0] += 1
        p[i][1] = 1 - pow(a[1], p[i][0])
        p[i][2] = 1 - pow(a[2], p[i][0])
    return OK


cdef void _sgd_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    cdef Py_ssize_t i, S = n[0]
    cdef real *x = p[s]
    cdef real *momentum = p[S + s]
    cdef const real *g = p[2 * S + s]
    cdef bint first = (<double *>p[3 * S + s])[0] == 1
    cdef real lr = <real>a[0], mu = <real>a[1], fresh = <real>(1 - a[2]), decay = <real>a[3]
    cdef real ahead = mu if a[4] else 0, sign = -1 if a[5] else 1
    cdef real step, v
    if momentum == NULL:
        for i in range(n[1 + s]):
            x[i] -= lr * (sign * g[i] + decay * x[i])
    elif first:  # the first gradient is not dampened
        for i in range(n[1 + s]):
            step = sign * g[i] + decay * x[i]
            momentum[i] = step
            x[i] -= lr * (step + ahead * step)
    elif a[4]:
        for i in range(n[1 + s]):
            step = sign * g[i] + decay * x[i]
            v = mu * momentum[i] + fresh * step
            momentum[i] = v
            x[i] -= lr * (step + ahead * v)
    else:
        for i in range(n[1 + s]):
            v = mu * momentum[i] + fresh * (sign * g[i] + decay * x[i])
            momentum[i] = v
            x[i] -= lr * v


cdef int _sgd(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S x, S momentum or NULL, S g, S clocks (double), go[1]
    # a: lr, momentum, dampening, weight_decay, nesterov, maximize
    if (<double *>p[4 * n[0]])[0] != 0:
        _each(_sgd_segment[real], p, n, a)
    return OK


cdef void _adam_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    cdef Py_ssize_t i, S = n[0]
    cdef real *x = p[s]
    cdef real *mean = p[S + s]
    cdef real *square = p[2 * S + s]
    cdef real *largest = p[3 * S + s]
    cdef const real *g = p[4 * S + s]
    cdef const double *clock = <double *>p[5 * S + s]
    cdef real beta1 = <real>a[1], beta2 = <real>a[2], fresh1 = <real>(1 - a[1]), fresh2 = <real>(1 - a[2])
    cdef real coupled = 0 if a[5] else <real>a[4]
    cdef real keep = <real>(1 - a[0] * a[4]) if a[5] else 1
    cdef real sign = -1 if a[6] else 1
    # x - lr / c1 * m / (sqrt(v / c2) + eps), with the corrections moved out of the loop
    cdef real rate = <real>(a[0] / clock[1] * sqrt(clock[2])), eps = <real>(a[3] * sqrt(clock[2]))
    cdef real step, m, v
    for i in range(n[1 + s]):
        step = sign * g[i] + coupled * x[i]
        m = beta1 * mean[i] + fresh1 * step
        v = beta2 * square[i] + fresh2 * step * step
        mean[i] = m
        square[i] = v
        if largest != NULL:
            v = v if v > largest[i] else largest[i]
            largest[i] = v
        x[i] = keep * x[i] - rate * m / (_sqrt(v) + eps)


cdef inline real _sqrt(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef int _adam(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S x, S mean, S square, S largest square or NULL, S g, S clocks (double), go[1]
    # a: lr, beta1, beta2, eps, weight_decay, decoupled, maximize
    if (<double *>p[6 * n[0]])[0] != 0:
        _each(_adam_segment[real], p, n, a)
    return OK


clip_norm = Kernel("clip_norm", {"float32": <size_t>_clip_norm[float], "float64": <size_t>_clip_norm[double]})
clip_value = Kernel("clip_value", {"float32": <size_t>_clip_value[float], "float64": <size_t>_clip_value[double]})
guard = Kernel("guard", {"float32": <size_t>_guard[float], "float64": <size_t>_guard[double]})
advance = Kernel("advance", {"float64": <size_t>_advance})
sgd = Kernel("sgd", {"float32": <size_t>_sgd[float], "float64": <size_t>_sgd[double]})
adam = Kernel("adam", {"float32": <size_t>_adam[float], "float64": <size_t>_adam[double]})
