"""Backward passes of dropout."""

from numba import carray, prange

from minidl.kernels.backward.compiler import as_bool, body, elementwise, kernel, serial


@body
def _times(dx, dy, factor):
    for i in range(dy.size):
        dx[i] = dy[i] * factor


@elementwise
def _dropout(dx, dy, keep, scale):
    inner = dy.size // max(keep.size, 1)
    real = dy.dtype.type
    if inner == 1 and serial(dy.size):
        for i in range(dy.size):
            dx[i] = dy[i] * (real(keep[i]) * scale)
    elif inner == 1:
        for i in prange(dy.size):
            dx[i] = dy[i] * (real(keep[i]) * scale)
    elif serial(dy.size):
        for u in range(keep.size):
            _times(dx[u * inner : (u + 1) * inner], dy[u * inner : (u + 1) * inner], real(keep[u]) * scale)
    else:
        for u in prange(keep.size):
            _times(dx[u * inner : (u + 1) * inner], dy[u * inner : (u + 1) * inner], real(keep[u]) * scale)


@kernel
def dropout(p, n, a):
    """dx[U, inner] = dy[U, inner] * keep[U] / (1 - a0); p: dx dy keep, n: U inner."""
    U, inner = n[0], n[1]
    dx = carray(p[0], U * inner)
    scale = 1 / (1 - a[0]) if a[0] < 1 else 0.0
    _dropout(dx, carray(p[1], U * inner), carray(as_bool(p[2]), U), dx.dtype.type(scale))
    return 0


@kernel
def alpha_dropout(p, n, a):
    """dx[U, inner] = scale * dy[U, inner] * keep[U]; p: dx dy keep, n: U inner."""
    U, inner = n[0], n[1]
    dx = carray(p[0], U * inner)
    scale = 1 / ((1 - a[0]) * (1 + a[0] * a[1] * a[1])) ** 0.5 if a[0] < 1 else 0.0
    _dropout(dx, carray(p[1], U * inner), carray(as_bool(p[2]), U), dx.dtype.type(scale))
    return 0
