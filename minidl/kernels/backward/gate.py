"""Backward pass of a gate between two signals."""

from numba import carray, prange

from minidl.kernels.backward.compiler import body, elementwise, kernel, serial


@body
def highway_at(dz, dh, dx, dy, t, h, x, i):
    one = dy.dtype.type(1)
    dh[i] = dy[i] * t[i]
    dx[i] = dy[i] * (one - t[i])
    dz[i] = dy[i] * (h[i] - x[i]) * (t[i] * (one - t[i]))


@elementwise
def _highway(dz, dh, dx, dy, t, h, x):
    if serial(dy.size):
        for i in range(dy.size):
            highway_at(dz, dh, dx, dy, t, h, x, i)
    else:
        for i in prange(dy.size):
            highway_at(dz, dh, dx, dy, t, h, x, i)


@kernel
def highway(p, n, a):
    """Gradients of y = t h + (1 - t) x with t = sigmoid(z); p: dz dh dx dy t h x, n: N."""
    N = n[0]
    _highway(
        carray(p[0], N),
        carray(p[1], N),
        carray(p[2], N),
        carray(p[3], N),
        carray(p[4], N),
        carray(p[5], N),
        carray(p[6], N),
    )
    return 0
