"""Update kernels of the optimizers that step along a running mean of the gradient: SGD and Lion.

p: S x, S of each kind of state (NULL where there is none), S g, S clocks (double), go[1]; n: S, sizes[S].
"""

from minidl.kernels.kernel cimport real
from minidl.kernels.update cimport step

from minidl.kernels.kernel import Kernel


cdef void _sgd_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    cdef Py_ssize_t i, S = n[0]
    cdef real *x = p[s]
    cdef real *momentum = p[S + s]
    cdef const real *g = p[2 * S + s]
    cdef bint first = (<double *>p[3 * S + s])[0] == 1
    cdef real lr = <real>a[0], mu = <real>a[1], fresh = <real>(1 - a[2]), decay = <real>a[3]
    cdef real ahead = mu if a[4] else 0, sign = -1 if a[5] else 1
    cdef real d, v
    if momentum == NULL:
        for i in range(n[1 + s]):
            x[i] -= lr * (sign * g[i] + decay * x[i])
    elif first:  # the first gradient is not dampened
        for i in range(n[1 + s]):
            d = sign * g[i] + decay * x[i]
            momentum[i] = d
            x[i] -= lr * (d + ahead * d)
    elif a[4]:
        for i in range(n[1 + s]):
            d = sign * g[i] + decay * x[i]
            v = mu * momentum[i] + fresh * d
            momentum[i] = v
            x[i] -= lr * (d + ahead * v)
    else:
        for i in range(n[1 + s]):
            v = mu * momentum[i] + fresh * (sign * g[i] + decay * x[i])
            momentum[i] = v
            x[i] -= lr * v


cdef int _sgd(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S momentum or NULL; a: lr, momentum, dampening, weight_decay, nesterov, maximize
    return step(_sgd_segment[real], 4, p, n, a)


cdef void _lion_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    cdef Py_ssize_t i, S = n[0]
    cdef real *x = p[s]
    cdef real *mean = p[S + s]
    cdef const real *g = p[2 * S + s]
    cdef real beta1 = <real>a[1], beta2 = <real>a[2], fresh1 = <real>(1 - a[1]), fresh2 = <real>(1 - a[2])
    cdef real lr = <real>a[0], keep = <real>(1 - a[0] * a[3]), sign = -1 if a[4] else 1
    cdef real d, c
    for i in range(n[1 + s]):
        d = sign * g[i]
        c = beta1 * mean[i] + fresh1 * d
        mean[i] = beta2 * mean[i] + fresh2 * d
        x[i] = keep * x[i] - (lr if c > 0 else -lr if c < 0 else 0)


cdef int _lion(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S mean; a: lr, beta1, beta2, weight_decay, maximize
    return step(_lion_segment[real], 4, p, n, a)


sgd = Kernel("sgd", {"float32": <size_t>_sgd[float], "float64": <size_t>_sgd[double]})
lion = Kernel("lion", {"float32": <size_t>_lion[float], "float64": <size_t>_lion[double]})
