"""Backward passes of pooling. Windows may overlap, so threads split planes."""

from numba import carray, prange

from minidl.kernels.backward.compiler import as_bool, body, kernel, loops, serial


@body
def _max_at(dx, dy, tap, rows, columns, places):
    for q in range(dx.size):  # `dx[:] = 0` would become a parallel region
        dx[q] = 0
    for r in range(rows.size):
        for c in range(columns.size):
            dx[rows[r] + columns[c] + places[tap[r, c]]] += dy[r, c]


@loops
def _max_pool(dx, dy, tap, rows, columns, places):
    if serial(dx.size):
        for o in range(dx.shape[0]):
            _max_at(dx[o], dy[o], tap[o], rows, columns, places)
    else:
        for o in prange(dx.shape[0]):
            _max_at(dx[o], dy[o], tap[o], rows, columns, places)


@kernel
def max_pool(p, n, a):
    """dx[q] = sum of dy[r, c] over all windows with rows[r] + columns[c] + places[tap[r, c]] = q, in every plane.

    p: dx dy tap, n: planes, elements of a plane, R rows, C columns, T places, then these.
    """
    planes, size, R, C, T = n[0], n[1], n[2], n[3], n[4]
    table = carray(n, 5 + R + C + T)[5:]
    shape = (planes, R, C)
    _max_pool(
        carray(p[0], (planes, size)),
        carray(p[1], shape),
        carray(as_bool(p[2]), shape),
        table[:R],
        table[R : R + C],
        table[R + C :],
    )
    return 0


@body
def _max_2x2_at(dx, dy, tap, o):
    C = dy.shape[1]
    for q in range(4 * C):
        dx[o, q] = 0
    for c in range(C):
        t = tap[o, c]
        dx[o, 2 * c + (t >> 1) * 2 * C + (t & 1)] = dy[o, c]


@loops
def _max_pool_2x2(dx, dy, tap):
    if serial(dx.size):
        for o in range(dx.shape[0]):
            _max_2x2_at(dx, dy, tap, o)
    else:
        for o in prange(dx.shape[0]):
            _max_2x2_at(dx, dy, tap, o)


@kernel
def max_pool_2x2(p, n, a):
    """The same where 2 x 2 windows tile the input, the usual case; p: dx dy tap, n: R rows of dy in all planes, C."""
    R, C = n[0], n[1]
    _max_pool_2x2(carray(p[0], (R, 4 * C)), carray(p[1], (R, C)), carray(as_bool(p[2]), (R, C)))
    return 0


@body
def _add_windows(line, dy, columns, step, low, high, factor):
    for c in range(low, high):
        share = dy[c] * (factor / dy.dtype.type(columns[2, c]))
        for j in range(columns[1, c]):
            line[columns[0, c] + j * step] += share


@body
def _avg_at(dx, dy, rows, columns, row_step, step, stride, low, high):
    for h in range(dx.shape[0]):
        for w in range(dx.shape[1]):
            dx[h, w] = 0
    one = dx.dtype.type(1)
    for r in range(dy.shape[0]):
        for i in range(rows[1, r]):
            line, factor = dx[rows[0, r] + i * row_step], one / dx.dtype.type(rows[2, r])
            _add_windows(line, dy[r], columns, step, 0, low, factor)
            _add_windows(line, dy[r], columns, step, high, dy.shape[1], factor)
            if low == high:
                continue
            inner, first, count = dy[r, low:high], columns[0, low], columns[1, low]
            factor /= dx.dtype.type(columns[2, low])
            for j in range(count):  # whole windows are alike, and tap by tap they are vectors
                if stride == 1:
                    place = line[first + j * step : first + j * step + inner.size]
                    for c in range(inner.size):
                        place[c] += inner[c] * factor
                else:
                    for c in range(inner.size):
                        line[first + j * step + c * stride] += inner[c] * factor


@loops
def _avg_pool(dx, dy, rows, columns, row_step, step, stride, low, high):
    if serial(dx.size):
        for o in range(dx.shape[0]):
            _avg_at(dx[o], dy[o], rows, columns, row_step, step, stride, low, high)
    else:
        for o in prange(dx.shape[0]):
            _avg_at(dx[o], dy[o], rows, columns, row_step, step, stride, low, high)


@kernel
def avg_pool(p, n, a):
    """dx = sum of dy / extent over the windows that took x; p: dx dy, n: as in `minidl.kernels.pooling`."""
    planes, H, R, row_step = n[0], n[1], n[2], n[4]
    after = 8 + 3 * R  # where the columns are described
    W, C, step, stride, low, high = n[after], n[after + 1], n[after + 3], n[after + 4], n[after + 5], n[after + 6]
    table = carray(n, after + 7 + 3 * C)
    rows, columns = table[8:after].reshape((3, R)), table[after + 7 :].reshape((3, C))
    dx, dy = carray(p[0], (planes, H, W)), carray(p[1], (planes, R, C))
    _avg_pool(dx, dy, rows, columns, row_step, step, stride, low, high)
    return 0
