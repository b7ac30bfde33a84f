"""What shapes a gradient on its way back: clipping and scaling.

p: dx dy partial (double) statistics (double), n: rows inner. Norms are sums over tiles of a row, added in order, so
that no bit depends on the thread count; partial has a number for each tile.
"""

import numpy as np
from numba import carray, prange

from minidl.kernels.backward.compiler import as_double, body, kernel, loops, piece, serial
from minidl.kernels.kernel import Status
from minidl.kernels.update import POLICIES

TILE = 16384  # elements that a thread takes at a time
NONFINITE, RAISE, ZERO = int(Status.NONFINITE), POLICIES["raise"], POLICIES["zero"]
CALLS, ACTED, NONFINITE_SEEN, BEFORE, AFTER, LAST_BEFORE, LAST_AFTER = range(7)  # as in kernels/statistics.pxd


@piece
def note(statistics, before, after, acted):
    """As `note` of kernels/statistics.pxd."""
    statistics[CALLS] += 1
    statistics[ACTED] += acted
    statistics[LAST_BEFORE] = before
    statistics[LAST_AFTER] = after
    if np.isfinite(before) and np.isfinite(after):
        statistics[BEFORE] += before
        statistics[AFTER] += after
    else:
        statistics[NONFINITE_SEEN] += 1


@body
def tiles(inner):
    """Number of pieces of a row."""
    return max(1, (inner + TILE - 1) // TILE)


@body
def tile_of(x, t):
    """Tile number t of all rows."""
    per_row = tiles(x.shape[1])
    start = t % per_row * TILE
    return x[t // per_row, start : start + TILE]


@piece
def largest(x):
    """The largest |x|; NaN if there is one."""
    top, spoiled = 0.0, False
    for i in range(x.size):
        magnitude = np.float64(abs(x[i]))
        top = magnitude if magnitude > top else top
        spoiled |= x[i] != x[i]
    return np.nan if spoiled else top


@piece
def power_sum(x, power):
    """Sum of |x|^power, or the largest |x|."""
    total = 0.0
    if power == np.inf:
        return largest(x)
    if power == 2:
        for i in range(x.size):
            total += np.float64(x[i]) * np.float64(x[i])
    else:
        for i in range(x.size):
            total += np.float64(abs(x[i])) ** power
    return total


@piece
def norm_of(partial, power):
    """A norm from the sums over its tiles."""
    if power == np.inf:
        return largest(partial)
    total = 0.0
    for t in range(partial.size):
        total += partial[t]
    return np.sqrt(total) if power == 2 else total ** (1 / power)


@piece
def times(dx, dy, factor):
    scale = dx.dtype.type(factor)
    for i in range(dy.size):
        dx[i] = scale * dy[i]


# Clipping by norm


@loops
def _power_sums(partial, dy, power):
    if serial(dy.size):
        for t in range(partial.size):
            partial[t] = power_sum(tile_of(dy, t), power)
    else:
        for t in prange(partial.size):
            partial[t] = power_sum(tile_of(dy, t), power)


@body
def scale_tile(dx, dy, factor, t):
    if factor == 0:  # 0 times NaN would be NaN
        tile_of(dx, t)[:] = 0
    else:
        times(tile_of(dx, t), tile_of(dy, t), factor)


@loops
def _scale_rows(dx, dy, factors):
    rows, per_row = factors.shape
    if serial(dy.size):
        for t in range(rows * per_row):
            scale_tile(dx, dy, factors[t // per_row, 0], t)
    else:
        for t in prange(rows * per_row):
            scale_tile(dx, dy, factors[t // per_row, 0], t)


@kernel
def clip_norm(p, n, a):
    """dx[r] = dy[r] a0 / |dy[r]| where |dy[r]| > a0, else dy[r]; a: bound, order of the norm, policy."""
    rows, inner = n[0], n[1]
    dx, dy = carray(p[0], (rows, inner)), carray(p[1], (rows, inner))
    partial, statistics = carray(as_double(p[2]), (rows, tiles(inner))), carray(as_double(p[3]), 7)
    _power_sums(partial.reshape(-1), dy, a[1])
    refused = False
    for r in range(rows):
        before = norm_of(partial[r], a[1])
        finite = np.isfinite(before)
        factor = 1.0
        if not finite:
            refused |= a[2] == RAISE
            factor = 0.0 if a[2] == ZERO else 1.0
        elif before > a[0]:
            factor = a[0] / before
        after = a[0] if finite and factor != 1 else before if factor != 0 else 0.0
        note(statistics, before, after, factor != 1)
        partial[r, 0] = factor
    if refused:
        return NONFINITE
    _scale_rows(dx, dy, partial)
    return 0


# Clipping by value


@piece
def clamp(dx, dy, limit, zero):
    bound = dx.dtype.type(limit)
    for i in range(dy.size):
        inside = bound if dy[i] > bound else -bound if dy[i] < -bound else dy[i]
        dx[i] = inside if np.isfinite(dy[i]) else 0 if zero else dy[i]


@body
def clamp_tile(dx, dy, partial, limit, zero, t):
    partial[t] = largest(tile_of(dy, t))
    clamp(tile_of(dx, t), tile_of(dy, t), limit, zero)


@loops
def _clamp(dx, dy, partial, limit, zero):
    if serial(dy.size):
        for t in range(partial.size):
            clamp_tile(dx, dy, partial, limit, zero, t)
    else:
        for t in prange(partial.size):
            clamp_tile(dx, dy, partial, limit, zero, t)


@kernel
def clip_value(p, n, a):
    """dx = dy between -a0 and a0; NaN and Inf stay, or become 0; n: 1 N, a: bound, -, policy."""
    dx, dy = carray(p[0], (1, n[1])), carray(p[1], (1, n[1]))
    partial, statistics = carray(as_double(p[2]), tiles(n[1])), carray(as_double(p[3]), 7)
    _clamp(dx, dy, partial, a[0], a[2] == ZERO)
    before = largest(partial)
    if np.isfinite(before):
        note(statistics, before, min(before, a[0]), before > a[0])
        return 0
    note(statistics, before, before, a[2] == ZERO)
    return NONFINITE if a[2] == RAISE else 0


# Scaling


@body
def times_tile(dx, dy, partial, factor, t):
    partial[t] = power_sum(tile_of(dy, t), 2.0)
    times(tile_of(dx, t), tile_of(dy, t), factor)


@loops
def _times(dx, dy, partial, factor):
    if serial(dy.size):
        for t in range(partial.size):
            times_tile(dx, dy, partial, factor, t)
    else:
        for t in prange(partial.size):
            times_tile(dx, dy, partial, factor, t)


@kernel
def scale(p, n, a):
    """dx = a0 dy; n: 1 N."""
    dx, dy = carray(p[0], (1, n[1])), carray(p[1], (1, n[1]))
    partial, statistics = carray(as_double(p[2]), tiles(n[1])), carray(as_double(p[3]), 7)
    _times(dx, dy, partial, a[0])
    before = norm_of(partial, 2.0)
    note(statistics, before, abs(a[0]) * before, a[0] != 1)
    return 0
