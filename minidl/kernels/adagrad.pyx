"""Update kernels of the optimizers that divide by the root of squared gradients: Adagrad, RMSprop and Adadelta.

p: S x, S of each kind of state (NULL where there is none), S g, S clocks (double), go[1]; n: S, sizes[S].
"""

from minidl.kernels.kernel cimport real
from minidl.kernels.update cimport root, step

from minidl.kernels.kernel import Kernel


cdef void _adagrad_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    cdef Py_ssize_t i, S = n[0]
    cdef real *x = p[s]
    cdef real *total = p[S + s]
    cdef const real *g = p[2 * S + s]
    cdef double t = (<double *>p[3 * S + s])[0]
    cdef real rate = <real>(a[0] / (1 + (t - 1) * a[1])), decay = <real>a[2], eps = <real>a[3]
    cdef real sign = -1 if a[4] else 1
    cdef real d, v
    for i in range(n[1 + s]):
        d = sign * g[i] + decay * x[i]
        v = total[i] + d * d
        total[i] = v
        x[i] -= rate * d / (root(v) + eps)


cdef int _adagrad(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S sum; a: lr, lr_decay, weight_decay, eps, maximize
    return step(_adagrad_segment[real], 4, p, n, a)


cdef void _rmsprop_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    cdef Py_ssize_t i, S = n[0]
    cdef real *x = p[s]
    cdef real *square = p[S + s]
    cdef real *momentum = p[2 * S + s]
    cdef real *mean = p[3 * S + s]
    cdef const real *g = p[4 * S + s]
    cdef real lr = <real>a[0], alpha = <real>a[1], fresh = <real>(1 - a[1]), eps = <real>a[2]
    cdef real decay = <real>a[3], mu = <real>a[4], sign = -1 if a[5] else 1
    cdef real d, m, v
    for i in range(n[1 + s]):
        d = sign * g[i] + decay * x[i]
        v = alpha * square[i] + fresh * d * d
        square[i] = v
        if mean != NULL:
            m = alpha * mean[i] + fresh * d
            mean[i] = m
            v = v - m * m
            v = 0 if v < 0 else v  # by rounding, where gradients hardly vary
        d = d / (root(v) + eps)
        if momentum != NULL:
            d = mu * momentum[i] + d
            momentum[i] = d
        x[i] -= lr * d


cdef int _rmsprop(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S square, S momentum or NULL, S mean or NULL; a: lr, alpha, eps, weight_decay, momentum, maximize
    return step(_rmsprop_segment[real], 6, p, n, a)


cdef void _adadelta_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    cdef Py_ssize_t i, S = n[0]
    cdef real *x = p[s]
    cdef real *square = p[S + s]
    cdef real *moved = p[2 * S + s]
    cdef const real *g = p[3 * S + s]
    cdef real lr = <real>a[0], rho = <real>a[1], fresh = <real>(1 - a[1]), eps = <real>a[2]
    cdef real decay = <real>a[3], sign = -1 if a[4] else 1
    cdef real d, v
    for i in range(n[1 + s]):
        d = sign * g[i] + decay * x[i]
        v = rho * square[i] + fresh * d * d
        square[i] = v
        d = root((moved[i] + eps) / (v + eps)) * d
        moved[i] = rho * moved[i] + fresh * d * d
        x[i] -= lr * d


cdef int _adadelta(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S square, S moved; a: lr, rho, eps, weight_decay, maximize
    return step(_adadelta_segment[real], 5, p, n, a)


adagrad = Kernel("adagrad", {"float32": <size_t>_adagrad[float], "float64": <size_t>_adagrad[double]})
rmsprop = Kernel("rmsprop", {"float32": <size_t>_rmsprop[float], "float64": <size_t>_rmsprop[double]})
adadelta = Kernel("adadelta", {"float32": <size_t>_adadelta[float], "float64": <size_t>_adadelta[double]})
