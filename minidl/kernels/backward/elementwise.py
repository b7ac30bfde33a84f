"""Backward passes of the elementwise operations: a gradient times something that may be repeated.

p: dx dy d, n: the plan of a broadcast (see `minidl/kernels/broadcast.pxd`) in which dx and dy have the full shape.
"""

from numba import carray, prange

from minidl.kernels.backward.compiler import as_bool, body, elementwise, kernel, serial

TILE = 4096  # elements that a thread takes at a time


@body
def tiles(n):
    """Number of pieces of rows."""
    inner = n[2 + n[2]]
    return 0 if n[0] == 0 else n[0] // inner * ((inner + TILE - 1) // TILE)


@body
def place(n, tile, buffer):
    """Of one tile: first element, number of elements, first element of a buffer, and that buffer's inner stride."""
    rank = n[2]
    inner = n[2 + rank]
    per_row = (inner + TILE - 1) // TILE
    row, start = tile // per_row, tile % per_row * TILE
    strides = 3 + rank + buffer * (rank + 1) + 1
    step = n[strides + rank - 1]
    at = start * step
    rest = row
    for d in range(rank - 2, -1, -1):
        at += rest % n[3 + d] * n[strides + d]
        rest //= n[3 + d]
    return row * inner + start, min(inner - start, TILE), at, step


@body
def multiply_tile(dx, dy, d, n, scale, tile):
    first, size, at, step = place(n, tile, 2)
    if step:
        for i in range(size):
            dx[first + i] = scale * dy[first + i] * d[at + i]
    else:
        factor = scale * d[at]
        for i in range(size):
            dx[first + i] = dy[first + i] * factor


@elementwise
def _multiply(dx, dy, d, n, scale):
    if serial(n[0]):
        for tile in range(tiles(n)):
            multiply_tile(dx, dy, d, n, scale, tile)
    else:
        for tile in prange(tiles(n)):
            multiply_tile(dx, dy, d, n, scale, tile)


@kernel
def multiply(p, n, a):
    """dx = a0 dy d."""
    N = n[0]
    dx = carray(p[0], N)
    _multiply(dx, carray(p[1], N), carray(p[2], N), n, dx.dtype.type(a[0]))
    return 0


@body
def divide_tile(dx, dy, d, n, scale, tile):
    first, size, at, step = place(n, tile, 2)
    if step:
        for i in range(size):
            dx[first + i] = scale * dy[first + i] / d[at + i]
    else:
        for i in range(size):
            dx[first + i] = scale * dy[first + i] / d[at]


@elementwise
def _divide(dx, dy, d, n, scale):
    if serial(n[0]):
        for tile in range(tiles(n)):
            divide_tile(dx, dy, d, n, scale, tile)
    else:
        for tile in prange(tiles(n)):
            divide_tile(dx, dy, d, n, scale, tile)


@kernel
def divide(p, n, a):
    """dx = a0 dy / d."""
    N = n[0]
    dx = carray(p[0], N)
    _divide(dx, carray(p[1], N), carray(p[2], N), n, dx.dtype.type(a[0]))
    return 0


@body
def select_tile(dx, dy, mask, n, wanted, tile):
    first, size, at, step = place(n, tile, 2)
    for i in range(size):
        dx[first + i] = dy[first + i] if (mask[at + i * step] != 0) == wanted else 0


@elementwise
def _select(dx, dy, mask, n, wanted):
    if serial(n[0]):
        for tile in range(tiles(n)):
            select_tile(dx, dy, mask, n, wanted, tile)
    else:
        for tile in prange(tiles(n)):
            select_tile(dx, dy, mask, n, wanted, tile)


@kernel
def select(p, n, a):
    """dx = dy where the mask is a0, else 0; a mask is bool, and 0 times Inf would be NaN."""
    N = n[0]
    _select(carray(p[0], N), carray(p[1], N), carray(as_bool(p[2]), N), n, a[0] != 0)
    return 0


@body
def scale_tile(dx, dy, n, scale, tile):
    first, size, at, step = place(n, tile, 1)
    if step:
        for i in range(size):
            dx[first + i] = scale * dy[at + i]
    else:
        value = scale * dy[at]
        for i in range(size):
            dx[first + i] = value


@elementwise
def _scale(dx, dy, n, scale):
    if serial(n[0]):
        for tile in range(tiles(n)):
            scale_tile(dx, dy, n, scale, tile)
    else:
        for tile in prange(tiles(n)):
            scale_tile(dx, dy, n, scale, tile)


@kernel
def scale(p, n, a):
    """dx = a0 dy, repeated where dy is smaller; p: dx dy."""
    N = n[0]
    dx = carray(p[0], N)
    _scale(dx, carray(p[1], N), n, dx.dtype.type(a[0]))
    return 0


@elementwise
def _clamp(dx, dy, x, low, high):
    if serial(x.size):
        for i in range(x.size):
            dx[i] = dy[i] if (x[i] >= low) & (x[i] <= high) else 0
    else:
        for i in prange(x.size):
            dx[i] = dy[i] if (x[i] >= low) & (x[i] <= high) else 0


@kernel
def clamp(p, n, a):
    """dx = dy where a0 <= x <= a1, else 0; p: dx dy x, n: N."""
    N = n[0]
    dx = carray(p[0], N)
    _clamp(dx, carray(p[1], N), carray(p[2], N), dx.dtype.type(a[0]), dx.dtype.type(a[1]))
    return 0
