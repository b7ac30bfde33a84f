"""Backward passes of softmax and log_softmax over the middle dimension of [outer, K, inner]."""

from numba import carray, prange

from minidl.kernels.backward.compiler import body, kernel, loops, serial


@body
def _softmax_at(dx, dy, y, scale, o):
    K, inner = y.shape[1:]
    if inner == 1:
        total = y.dtype.type(0)
        for k in range(K):
            total += y[o, k, 0] * dy[o, k, 0]
        for k in range(K):
            dx[o, k, 0] = scale * y[o, k, 0] * (dy[o, k, 0] - total)
    elif K:
        for i in range(inner):
            dx[o, 0, i] = y[o, 0, i] * dy[o, 0, i]
        for k in range(1, K):
            for i in range(inner):
                dx[o, 0, i] += y[o, k, i] * dy[o, k, i]
        for k in range(K - 1, -1, -1):  # the sums stand in the place of class 0, which therefore comes last
            for i in range(inner):
                dx[o, k, i] = scale * y[o, k, i] * (dy[o, k, i] - dx[o, 0, i])


@loops
def _softmax(dx, dy, y, scale):
    if serial(y.size):
        for o in range(y.shape[0]):
            _softmax_at(dx, dy, y, scale, o)
    else:
        for o in prange(y.shape[0]):
            _softmax_at(dx, dy, y, scale, o)


@kernel
def softmax(p, n, a):
    """dx = scale y (dy - sum over k of y dy); p: dx dy y, n: outer K inner, a: scale."""
    shape = (n[0], n[1], n[2])
    dx = carray(p[0], shape)
    _softmax(dx, carray(p[1], shape), carray(p[2], shape), dx.dtype.type(a[0]))
    return 0


@body
def _log_softmax_at(dx, dy, s, o):
    K, inner = s.shape[1:]
    if inner == 1:
        total = s.dtype.type(0)
        for k in range(K):
            total += dy[o, k, 0]
        for k in range(K):
            dx[o, k, 0] = dy[o, k, 0] - s[o, k, 0] * total
    elif K:
        for i in range(inner):
            dx[o, 0, i] = dy[o, 0, i]
        for k in range(1, K):
            for i in range(inner):
                dx[o, 0, i] += dy[o, k, i]
        for k in range(K - 1, -1, -1):
            for i in range(inner):
                dx[o, k, i] = dy[o, k, i] - s[o, k, i] * dx[o, 0, i]


@loops
def _log_softmax(dx, dy, s):
    if serial(s.size):
        for o in range(s.shape[0]):
            _log_softmax_at(dx, dy, s, o)
    else:
        for o in prange(s.shape[0]):
            _log_softmax_at(dx, dy, s, o)


@kernel
def log_softmax(p, n, a):
    """dx = dy - s sum over k of dy, with s the softmax; p: dx dy s, n: outer K inner."""
    shape = (n[0], n[1], n[2])
    _log_softmax(carray(p[0], shape), carray(p[1], shape), carray(p[2], shape))
    return 0
