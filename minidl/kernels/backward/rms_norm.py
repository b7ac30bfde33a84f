"""Backward pass of the normalisation by the root mean square; scale[R] is what forward multiplied each row with.

With g = dy weight: dx = scale (g - x scale^2 mean(g x)), and dweight is the sum of dy x scale over the rows.
"""

from numba import carray, prange

from minidl.kernels.backward.compiler import as_double, kernel, loops, piece, serial

COLUMNS = 64  # columns of one thread


@piece
def _row(dx, dy, x, weight, scale, r):
    L = weight.size
    real = x.dtype.type
    product = real(0)
    for i in range(L):
        product += dy[r, i] * weight[i] * x[r, i]
    factor = scale[r]
    slope = real(-factor * factor * factor * product / L)
    for i in range(L):
        dx[r, i] = factor * (dy[r, i] * weight[i]) + slope * x[r, i]


@piece
def _weight_columns(sums, dy, x, scale, low, high):
    for j in range(low, high):
        sums[j] = 0
    for r in range(x.shape[0]):
        factor = scale[r]  # read here: inside, LLVM would multiply in one order or another, depending on the caller
        for j in range(low, high):
            sums[j] += dy[r, j] * (x[r, j] * factor)


@loops
def _rows(dx, sums, dy, x, weight, scale):
    if serial(x.size):
        for r in range(dx.shape[0]):
            _row(dx, dy, x, weight, scale, r)
        _weight_columns(sums, dy, x, scale, 0, sums.size)
    else:
        for r in prange(dx.shape[0]):
            _row(dx, dy, x, weight, scale, r)
        for block in prange((sums.size + COLUMNS - 1) // COLUMNS):
            low = block * COLUMNS
            _weight_columns(sums, dy, x, scale, low, min(low + COLUMNS, sums.size))


@kernel
def rows(p, n, a):
    """p: dx, dw, sums[L] (double), dy, x, weight, scale; n: R L, whether dx, whether dw."""
    R, L = n[0], n[1]
    sums = carray(as_double(p[2]), L if n[3] else 0)
    _rows(
        carray(p[0], (R if n[2] else 0, L)),
        sums,
        carray(p[3], (R, L)),
        carray(p[4], (R, L)),
        carray(p[5], L),
        carray(p[6], R),
    )
    dw = carray(p[1], sums.size)
    for j in range(sums.size):
        dw[j] = sums[j]
    return 0
