"""Backward passes of the penalties on weights."""

from numba import carray, prange

from minidl.kernels.backward.compiler import as_double, body, elementwise, kernel, serial


@elementwise
def _sign(dx, x, scale):
    if serial(x.size):
        for i in range(x.size):
            dx[i] = scale if x[i] > 0 else -scale if x[i] < 0 else x[i] * scale  # a NaN stays
    else:
        for i in prange(x.size):
            dx[i] = scale if x[i] > 0 else -scale if x[i] < 0 else x[i] * scale


@kernel
def sign(p, n, a):
    """dx = a0 dy sign(x), dy being one number; p: dx dy x, n: N."""
    N = n[0]
    dx = carray(p[0], N)
    _sign(dx, carray(p[2], N), dx.dtype.type(a[0] * carray(p[1], 1)[0]))
    return 0


@body
def shrink_row(dx, x, norm, limit, scale):
    factor = x.dtype.type(0 if norm <= limit else scale * (norm - limit) / norm)
    for i in range(x.size):
        dx[i] = factor * x[i]


@elementwise
def _shrink(dx, x, norms, limit, scale):
    if serial(x.size):
        for r in range(norms.size):
            shrink_row(dx[r], x[r], norms[r], limit, scale)
    else:
        for r in prange(norms.size):
            shrink_row(dx[r], x[r], norms[r], limit, scale)


@kernel
def shrink(p, n, a):
    """dx = a0 dy max(|x| - a1, 0) x / |x| for each row, dy being one number; p: dx dy x norms, n: rows columns."""
    shape = (n[0], n[1])
    _shrink(carray(p[0], shape), carray(p[2], shape), carray(as_double(p[3]), n[0]), a[1], a[0] * carray(p[1], 1)[0])
    return 0
