"""Update kernels of the optimizers that keep running means m of g and v of g^2: Adam and its kin.

p: S x, S of each kind of state (NULL where there is none), S g, S clocks (double), go[1]; n: S, sizes[S].
The corrections 1 - beta^t of the means, which begin at 0, are moved out of the loops.
"""

from libc.math cimport fabs, pow, sqrt

from minidl.kernels.kernel cimport OK, real
from minidl.kernels.update cimport each, root, square_sum, step

from minidl.kernels.kernel import Kernel

cdef enum:
    BLOCK = 1024  # steps that are squared while they are in the cache


cdef void _adam_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    cdef Py_ssize_t i, S = n[0]
    cdef real *x = p[s]
    cdef real *mean = p[S + s]
    cdef real *square = p[2 * S + s]
    cdef real *largest = p[3 * S + s]
    cdef const real *g = p[4 * S + s]
    cdef double t = (<double *>p[5 * S + s])[0], late = sqrt(1 - pow(a[2], t))
    cdef real beta1 = <real>a[1], beta2 = <real>a[2], fresh1 = <real>(1 - a[1]), fresh2 = <real>(1 - a[2])
    cdef real coupled = 0 if a[5] else <real>a[4], keep = <real>(1 - a[0] * a[4]) if a[5] else 1
    cdef real sign = -1 if a[6] else 1
    cdef real rate = <real>(a[0] / (1 - pow(a[1], t)) * late), eps = <real>(a[3] * late)
    cdef real d, m, v
    for i in range(n[1 + s]):
        d = sign * g[i] + coupled * x[i]
        m = beta1 * mean[i] + fresh1 * d
        v = beta2 * square[i] + fresh2 * d * d
        mean[i] = m
        square[i] = v
        if largest != NULL:
            v = v if v > largest[i] else largest[i]
            largest[i] = v
        x[i] = keep * x[i] - rate * m / (root(v) + eps)


cdef int _adam(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S mean, S square, S largest square or NULL; a: lr, beta1, beta2, eps, weight_decay, decoupled, maximize
    return step(_adam_segment[real], 6, p, n, a)


cdef void _adamax_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    cdef Py_ssize_t i, S = n[0]
    cdef real *x = p[s]
    cdef real *mean = p[S + s]
    cdef real *largest = p[2 * S + s]
    cdef const real *g = p[3 * S + s]
    cdef double t = (<double *>p[4 * S + s])[0]
    cdef real beta1 = <real>a[1], beta2 = <real>a[2], fresh1 = <real>(1 - a[1]), eps = <real>a[3]
    cdef real decay = <real>a[4], sign = -1 if a[5] else 1, rate = <real>(a[0] / (1 - pow(a[1], t)))
    cdef real d, m, v
    for i in range(n[1 + s]):
        d = sign * g[i] + decay * x[i]
        m = beta1 * mean[i] + fresh1 * d
        mean[i] = m
        v = beta2 * largest[i]
        d = <real>fabs(d) + eps
        v = v if v > d else d
        largest[i] = v
        x[i] -= rate * m / v


cdef int _adamax(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S mean, S largest; a: lr, beta1, beta2, eps, weight_decay, maximize
    return step(_adamax_segment[real], 5, p, n, a)


# NAdam -----------------------------------------------------------------------------------------------------------

cdef inline double _mu(double t, const double *a) noexcept nogil:
    # momentum of step t, which rises from beta1 / 2 to beta1
    return a[1] * (1 - 0.5 * pow(0.96, t * a[5]))


cdef int _advance_nadam(double **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # C clocks of (t, product of mu up to t), go[1]; n: C; a: as for _nadam
    cdef Py_ssize_t i, C = n[0]
    if p[C][0] != 0:
        for i in range(C):
            p[i][0] += 1
            p[i][1] *= _mu(p[i][0], a)
    return OK


cdef void _nadam_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    cdef Py_ssize_t i, S = n[0]
    cdef real *x = p[s]
    cdef real *mean = p[S + s]
    cdef real *square = p[2 * S + s]
    cdef const real *g = p[3 * S + s]
    cdef const double *clock = <double *>p[4 * S + s]
    cdef double late = sqrt(1 - pow(a[2], clock[0])), mu = _mu(clock[0], a), mu_next = _mu(clock[0] + 1, a)
    cdef real beta1 = <real>a[1], beta2 = <real>a[2], fresh1 = <real>(1 - a[1]), fresh2 = <real>(1 - a[2])
    cdef real coupled = 0 if a[6] else <real>a[4], keep = <real>(1 - a[0] * a[4]) if a[6] else 1
    cdef real sign = -1 if a[7] else 1, eps = <real>(a[3] * late)
    cdef real now = <real>(a[0] * (1 - mu) / (1 - clock[1]) * late)
    cdef real ahead = <real>(a[0] * mu_next / (1 - clock[1] * mu_next) * late)
    cdef real d, m, v
    for i in range(n[1 + s]):
        d = sign * g[i] + coupled * x[i]
        m = beta1 * mean[i] + fresh1 * d
        v = beta2 * square[i] + fresh2 * d * d
        mean[i] = m
        square[i] = v
        x[i] = keep * x[i] - (now * d + ahead * m) / (root(v) + eps)


cdef int _nadam(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S mean, S square; a: lr, beta1, beta2, eps, weight_decay, momentum_decay, decoupled, maximize
    return step(_nadam_segment[real], 5, p, n, a)


# RAdam -----------------------------------------------------------------------------------------------------------

cdef void _radam_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    cdef Py_ssize_t i, S = n[0]
    cdef real *x = p[s]
    cdef real *mean = p[S + s]
    cdef real *square = p[2 * S + s]
    cdef const real *g = p[3 * S + s]
    cdef double t = (<double *>p[4 * S + s])[0], power = pow(a[2], t)
    cdef double longest = 2 / (1 - a[2]) - 1, length = longest - 2 * t * power / (1 - power)  # of the mean of squares
    cdef bint adaptive = length > 5
    cdef double rate = a[0] / (1 - pow(a[1], t))
    cdef real beta1 = <real>a[1], beta2 = <real>a[2], fresh1 = <real>(1 - a[1]), fresh2 = <real>(1 - a[2])
    cdef real coupled = 0 if a[5] else <real>a[4], keep = <real>(1 - a[0] * a[4]) if a[5] else 1
    cdef real sign = -1 if a[6] else 1, eps = <real>a[3], factor
    cdef real d, m, v
    if adaptive:
        rate *= sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length) * (1 - power))
    factor = <real>rate
    for i in range(n[1 + s]):
        d = sign * g[i] + coupled * x[i]
        m = beta1 * mean[i] + fresh1 * d
        v = beta2 * square[i] + fresh2 * d * d
        mean[i] = m
        square[i] = v
        x[i] = keep * x[i] - factor * (m / (root(v) + eps) if adaptive else m)


cdef int _radam(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S mean, S square; a: lr, beta1, beta2, eps, weight_decay, decoupled, maximize
    return step(_radam_segment[real], 5, p, n, a)


# LAMB ------------------------------------------------------------------------------------------------------------

cdef void _lamb_means(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    # m, v, and sums[s] = |x|^2, sums[S + s] = |u|^2
    cdef Py_ssize_t i = 0, j, size, S = n[0]
    cdef real *x = p[s]
    cdef real *mean = p[S + s]
    cdef real *square = p[2 * S + s]
    cdef const real *g = p[3 * S + s]
    cdef double *sums = <double *>p[5 * S + 1]
    cdef double t = (<double *>p[4 * S + s])[0], late = sqrt(1 - pow(a[2], t))
    cdef real beta1 = <real>a[1], beta2 = <real>a[2], fresh1 = <real>(1 - a[1]), fresh2 = <real>(1 - a[2])
    cdef real rate = <real>(late / (1 - pow(a[1], t))), eps = <real>(a[3] * late), decay = <real>a[4]
    cdef real sign = -1 if a[5] else 1
    cdef real[BLOCK] u
    cdef real d, m, v
    sums[s], sums[S + s] = 0, 0
    while i < n[1 + s]:
        size = min(n[1 + s] - i, <Py_ssize_t>BLOCK)
        for j in range(size):
            d = sign * g[i + j]
            m = beta1 * mean[i + j] + fresh1 * d
            v = beta2 * square[i + j] + fresh2 * d * d
            mean[i + j] = m
            square[i + j] = v
            u[j] = rate * m / (root(v) + eps) + decay * x[i + j]
        sums[s] += square_sum(x + i, size)
        sums[S + s] += square_sum(u, size)
        i += size


cdef void _lamb_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    # x -= lr |x| / |u| u, with u computed once more
    cdef Py_ssize_t i, S = n[0], first = n[1 + S + s]
    cdef real *x = p[s]
    cdef const real *mean = p[S + s]
    cdef const real *square = p[2 * S + s]
    cdef const double *sums = <double *>p[5 * S + 1]
    cdef double t = (<double *>p[4 * S + s])[0], late = sqrt(1 - pow(a[2], t))
    cdef double trust = sqrt(sums[first]) / sqrt(sums[S + first]) if sums[first] > 0 and sums[S + first] > 0 else 1
    cdef real rate = <real>(late / (1 - pow(a[1], t))), eps = <real>(a[3] * late), decay = <real>a[4]
    cdef real lr = <real>(a[0] * trust)
    for i in range(n[1 + s]):
        x[i] -= lr * (rate * mean[i] / (root(square[i]) + eps) + decay * x[i])


cdef int _lamb(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S mean, S square, and behind go[1] sums[2, S] (double); n: S, sizes[S], first segment of the same parameter[S]
    # a: lr, beta1, beta2, eps, weight_decay, maximize
    cdef Py_ssize_t s, first, S = n[0]
    cdef double *sums = <double *>p[5 * S + 1]
    if (<double *>p[5 * S])[0] == 0:
        return OK
    each(_lamb_means[real], p, n, a)
    for s in range(S):
        first = n[1 + S + s]
        if first != s:
            sums[first] += sums[s]
            sums[S + first] += sums[S + s]
    each(_lamb_segment[real], p, n, a)
    return OK


adam = Kernel("adam", {"float32": <size_t>_adam[float], "float64": <size_t>_adam[double]})
adamax = Kernel("adamax", {"float32": <size_t>_adamax[float], "float64": <size_t>_adamax[double]})
advance_nadam = Kernel("advance_nadam", {"float64": <size_t>_advance_nadam})
nadam = Kernel("nadam", {"float32": <size_t>_nadam[float], "float64": <size_t>_nadam[double]})
radam = Kernel("radam", {"float32": <size_t>_radam[float], "float64": <size_t>_radam[double]})
lamb = Kernel("lamb", {"float32": <size_t>_lamb[float], "float64": <size_t>_lamb[double]})
