"""Backward passes of weights by norm; a weight is a block [outer, C, inner] of C units."""

from numba import carray, prange

from minidl.kernels.backward.compiler import as_double, kernel, loops, piece, serial


@piece
def _dot(x, y, c):
    """Sum of x y over unit c."""
    total = 0.0
    for o in range(x.shape[0]):
        part = x.dtype.type(0)
        for i in range(x.shape[2]):
            part += x[o, c, i] * y[o, c, i]
        total += part
    return total


@piece
def _unit(dv, dg, dw, v, g, norm, c):
    real = v.dtype.type
    product = _dot(dw, v, c)
    scale, slope, share = real(0), real(0), real(0)
    if norm[c] != 0:  # where the norm is 0, so are all gradients
        share = real(product / norm[c])
        scale = real(g[c] / norm[c])
        slope = real(-scale * (product / norm[c] / norm[c]))
    if dg.size:
        dg[c] = share
    for o in range(dv.shape[0]):
        for i in range(dv.shape[2]):
            dv[o, c, i] = scale * dw[o, c, i] + slope * v[o, c, i]


@loops
def _weight_norm(dv, dg, dw, v, g, norm):
    if serial(v.size):
        for c in range(g.size):
            _unit(dv, dg, dw, v, g, norm, c)
    else:
        for c in prange(g.size):
            _unit(dv, dg, dw, v, g, norm, c)


@kernel
def weight_norm(p, n, a):
    """p: dv, dg, dw, v, g, norm; n: outer C inner, whether dv, whether dg."""
    outer, C, inner = n[0], n[1], n[2]
    shape = (outer, C, inner)
    _weight_norm(
        carray(p[0], (outer if n[3] else 0, C, inner)),
        carray(p[1], C if n[4] else 0),
        carray(p[2], shape),
        carray(p[3], shape),
        carray(p[4], C),
        carray(p[5], C),
    )
    return 0


@piece
def _spectral_unit(dw, dy, u, v, factor, total, c):
    slope = total * u[c]
    for o in range(dw.shape[0]):
        for i in range(dw.shape[2]):
            dw[o, c, i] = factor * dy[o, c, i] - slope * v[o, i]


@loops
def _spectral_norm(dw, dots, dy, y, u, v, sigma):
    real = y.dtype.type
    C = u.size
    parallel = not serial(y.size)
    if parallel:
        for c in prange(C):
            dots[c] = _dot(dy, y, c)
    else:
        for c in range(C):
            dots[c] = _dot(dy, y, c)
    total = 0.0
    for c in range(C):
        total += dots[c]
    factor, share = real(1 / sigma[0]), real(total / sigma[0])
    if parallel:
        for c in prange(C):
            _spectral_unit(dw, dy, u, v, factor, share, c)
    else:
        for c in range(C):
            _spectral_unit(dw, dy, u, v, factor, share, c)


@kernel
def spectral_norm(p, n, a):
    """p: dw, dots[C] (double), dy, y, u, v, sigma; n: outer C inner."""
    outer, C, inner = n[0], n[1], n[2]
    shape = (outer, C, inner)
    _spectral_norm(
        carray(p[0], shape),
        carray(as_double(p[1]), C),
        carray(p[2], shape),
        carray(p[3], shape),
        carray(p[4], C),
        carray(p[5], (outer, inner)),
        carray(p[6], 1),
    )
    return 0
