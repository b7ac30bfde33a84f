"""Backward passes of pooling. Windows may overlap, so threads split planes."""

from numba import carray, prange

from minidl.kernels.backward.compiler import as_bool, body, kernel, loops, serial


@body
def _max_at(dx, dy, tap, rows, columns, places):
    dx[:] = 0
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
def _avg_at(dx, dy, rows, columns, row_step, column_step):
    dx[:, :] = 0
    for r in range(dy.shape[0]):
        for i in range(rows[1, r]):
            line = dx[rows[0, r] + i * row_step]
            for c in range(dy.shape[1]):
                share = dy[r, c] / (rows[2, r] * columns[2, c])
                for j in range(columns[1, c]):
                    line[columns[0, c] + j * column_step] += share


@loops
def _avg_pool(dx, dy, rows, columns, row_step, column_step):
    if serial(dx.size):
        for o in range(dx.shape[0]):
            _avg_at(dx[o], dy[o], rows, columns, row_step, column_step)
    else:
        for o in prange(dx.shape[0]):
            _avg_at(dx[o], dy[o], rows, columns, row_step, column_step)


@kernel
def avg_pool(p, n, a):
    """dx = sum of dy / extent over the windows that took x; p: dx dy, n: as in `minidl.kernels.pooling`."""
    planes, H, R = n[0], n[1], n[2]
    after = 8 + 3 * R  # where the columns are described
    W, C = n[after], n[after + 1]
    table = carray(n, after + 7 + 3 * C)
    rows = table[8:after].reshape((3, R))
    columns = table[after + 7 :].reshape((3, C))
    _avg_pool(carray(p[0], (planes, H, W)), carray(p[1], (planes, R, C)), rows, columns, n[4], n[after + 3])
    return 0
