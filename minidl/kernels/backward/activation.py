"""Backward passes of the activations: each is one product per element, in one of the shapes below."""

from numba import carray, prange

from minidl.kernels.backward.compiler import elementwise, kernel, loops, serial


@elementwise
def _times(dx, dy, d):
    if serial(d.size):
        for i in range(d.size):
            dx[i] = dy[i] * d[i]
    else:
        for i in prange(d.size):
            dx[i] = dy[i] * d[i]


@kernel
def times(p, n, a):
    """dx = dy d, with d the slope that the forward kernel saved; p: dx dy d, n: N."""
    N = n[0]
    _times(carray(p[0], N), carray(p[1], N), carray(p[2], N))
    return 0


@elementwise
def _relu(dx, dy, y):
    zero = dy.dtype.type(0)  # chosen, not multiplied with: an Inf behind a closed ReLU is nobody's NaN
    if serial(y.size):
        for i in range(y.size):
            g = dy[i]
            dx[i] = g if y[i] > 0 else zero
    else:
        for i in prange(y.size):
            g = dy[i]
            dx[i] = g if y[i] > 0 else zero


@kernel
def relu(p, n, a):
    """dx = dy where y > 0, else 0; p: dx dy y, n: N."""
    N = n[0]
    _relu(carray(p[0], N), carray(p[1], N), carray(p[2], N))
    return 0


@elementwise
def _leaky_relu(dx, dy, x, slope):
    if serial(x.size):
        for i in range(x.size):
            dx[i] = dy[i] if x[i] > 0 else dy[i] * slope
    else:
        for i in prange(x.size):
            dx[i] = dy[i] if x[i] > 0 else dy[i] * slope


@kernel
def leaky_relu(p, n, a):
    """dx = dy where x > 0, else slope dy; p: dx dy x, n: N, a: slope."""
    N = n[0]
    dx = carray(p[0], N)
    _leaky_relu(dx, carray(p[1], N), carray(p[2], N), dx.dtype.type(a[0]))
    return 0


@elementwise
def _sigmoid(dx, dy, y):
    if serial(y.size):
        for i in range(y.size):
            dx[i] = dy[i] * (y[i] * (1 - y[i]))
    else:
        for i in prange(y.size):
            dx[i] = dy[i] * (y[i] * (1 - y[i]))


@kernel
def sigmoid(p, n, a):
    """dx = dy y (1 - y); p: dx dy y, n: N."""
    N = n[0]
    _sigmoid(carray(p[0], N), carray(p[1], N), carray(p[2], N))
    return 0


@elementwise
def _tanh(dx, dy, y):
    if serial(y.size):
        for i in range(y.size):
            dx[i] = dy[i] * (1 - y[i] * y[i])
    else:
        for i in prange(y.size):
            dx[i] = dy[i] * (1 - y[i] * y[i])


@kernel
def tanh(p, n, a):
    """dx = dy (1 - y^2); p: dx dy y, n: N."""
    N = n[0]
    _tanh(carray(p[0], N), carray(p[1], N), carray(p[2], N))
    return 0


@elementwise
def _ramp(dx, dy, x, low, high, slope):
    if serial(x.size):
        for i in range(x.size):
            dx[i] = dy[i] * (slope if low < x[i] < high else 0)
    else:
        for i in prange(x.size):
            dx[i] = dy[i] * (slope if low < x[i] < high else 0)


@kernel
def ramp(p, n, a):
    """dx = dy slope where low < x < high, else 0; p: dx dy x, n: N, a: low high slope."""
    N = n[0]
    dx = carray(p[0], N)
    real = dx.dtype.type
    _ramp(dx, carray(p[1], N), carray(p[2], N), real(a[0]), real(a[1]), real(a[2]))
    return 0


@elementwise
def _hardswish(dx, dy, x, sixth):
    if serial(x.size):
        for i in range(x.size):
            dx[i] = dy[i] * (0 if x[i] <= -3 else 1 if x[i] >= 3 else (2 * x[i] + 3) * sixth)
    else:
        for i in prange(x.size):
            dx[i] = dy[i] * (0 if x[i] <= -3 else 1 if x[i] >= 3 else (2 * x[i] + 3) * sixth)


@kernel
def hardswish(p, n, a):
    """dx = dy (2 x + 3) / 6 where |x| < 3, else that of 0 or x; p: dx dy x, n: N."""
    N = n[0]
    dx = carray(p[0], N)
    _hardswish(dx, carray(p[1], N), carray(p[2], N), dx.dtype.type(1 / 6))
    return 0


@elementwise
def _softsign(dx, dy, x):
    if serial(x.size):
        for i in range(x.size):
            root = 1 + abs(x[i])
            dx[i] = dy[i] / (root * root)
    else:
        for i in prange(x.size):
            root = 1 + abs(x[i])
            dx[i] = dy[i] / (root * root)


@kernel
def softsign(p, n, a):
    """dx = dy / (1 + |x|)^2; p: dx dy x, n: N."""
    N = n[0]
    _softsign(carray(p[0], N), carray(p[1], N), carray(p[2], N))
    return 0


@elementwise
def _prelu(dx, dy, x, w):
    outer, C, inner = x.shape
    if serial(x.size):
        for o in range(outer):
            for c in range(C):
                for i in range(inner):
                    dx[o, c, i] = dy[o, c, i] if x[o, c, i] > 0 else dy[o, c, i] * w[c]
    else:
        for o in prange(outer):
            for c in range(C):
                for i in range(inner):
                    dx[o, c, i] = dy[o, c, i] if x[o, c, i] > 0 else dy[o, c, i] * w[c]


@kernel
def prelu(p, n, a):
    """dx = dy where x > 0, else w dy; p: dx dy x w, n: outer C inner."""
    shape = (n[0], n[1], n[2])
    _prelu(carray(p[0], shape), carray(p[1], shape), carray(p[2], shape), carray(p[3], n[1]))
    return 0


@loops
def _prelu_weight(dw, dy, x):
    outer, C, inner = x.shape
    for c in prange(C):  # a sum belongs to one thread
        total = 0.0
        for o in range(outer):
            for i in range(inner):
                total += min(x[o, c, i], 0) * dy[o, c, i]
        dw[c] = total


@kernel
def prelu_weight(p, n, a):
    """dw = sum of dy x where x <= 0; p: dw dy x, n: outer C inner."""
    shape = (n[0], n[1], n[2])
    _prelu_weight(carray(p[0], n[1]), carray(p[1], shape), carray(p[2], shape))
    return 0
