"""The largest element or the mean of every window of planes [planes, H, W].

n: planes, then for rows and for columns what `Axis.layout` in `minidl.functional._windows` lists. Window o of an axis
starts at first[o] and takes found[o] elements that are `step` apart: what lies in the padding is not among them.
"""

from cython.parallel cimport prange
from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint8_t

from minidl.kernels.kernel cimport OK, PARALLEL, real, threads

from minidl.kernels.kernel import Kernel

cdef enum:
    BLOCK = 64  # windows side by side that are folded together
    STRETCH = 1024  # elements of rows that are halved together

ctypedef struct Axis:
    Py_ssize_t size, count  # elements of the input, windows
    Py_ssize_t taps, step  # elements of the largest window, and the distance of two
    Py_ssize_t stride, low, high  # windows low <= o < high have all taps, and start `stride` apart
    const Py_ssize_t *first
    const Py_ssize_t *found
    const Py_ssize_t *extent  # what a mean divides by

ctypedef struct Windows:
    Axis rows, columns
    bint halves  # windows are 2 x 2 and lie side by side: the usual case, with loops of its own
    Py_ssize_t units, lines  # pieces of work, each of so many rows of the output (of all planes)
    Py_ssize_t total, work  # rows of the output, elements of the windows


cdef Axis axis_at(const Py_ssize_t *n) noexcept nogil:
    cdef Axis axis
    axis.size, axis.count, axis.taps, axis.step = n[0], n[1], n[2], n[3]
    axis.stride, axis.low, axis.high = n[4], n[5], n[6]
    axis.first = n + 7
    axis.found = axis.first + axis.count
    axis.extent = axis.found + axis.count
    return axis


cdef bint halved(Axis *axis) noexcept nogil:
    return axis.taps == 2 and axis.step == 1 and axis.stride == 2 and axis.high - axis.low == axis.count


cdef Windows windows_at(const Py_ssize_t *n) noexcept nogil:
    cdef Windows windows
    windows.rows = axis_at(n + 1)
    windows.columns = axis_at(n + 8 + 3 * windows.rows.count)
    windows.halves = (
        halved(&windows.rows) and halved(&windows.columns) and 2 * windows.columns.count <= STRETCH
    )
    windows.lines = STRETCH // (2 * windows.columns.count) if windows.halves else windows.rows.count
    windows.total = n[0] * windows.rows.count
    windows.units = (windows.total + windows.lines - 1) // max(1, windows.lines)
    windows.work = windows.total * windows.columns.count * windows.rows.taps * windows.columns.taps
    return windows


cdef inline void fetch_some(
    real *v, const real *x, Axis *axis, Py_ssize_t start, Py_ssize_t low, Py_ssize_t high, Py_ssize_t tap, real none
) noexcept nogil:
    cdef Py_ssize_t b
    cdef bint there
    cdef real value
    for b in range(low, high):
        there = tap < axis.found[start + b]
        value = x[axis.first[start + b] + (tap if there else 0) * axis.step]
        v[b] = value if there else none


cdef inline void fetch(
    real *v, const real *x, Axis *axis, Py_ssize_t start, Py_ssize_t width, Py_ssize_t tap, real none
) noexcept nogil:
    """v = element `tap` of `width` windows from `start` of the row x; `none` where a window has fewer."""
    cdef Py_ssize_t low = max(<Py_ssize_t> 0, min(axis.low - start, width))
    cdef Py_ssize_t high = max(low, min(axis.high - start, width))
    cdef Py_ssize_t b, stride = axis.stride
    fetch_some(v, x, axis, start, 0, low, tap, none)
    fetch_some(v, x, axis, start, high, width, tap, none)
    if low < high:
        x += axis.first[start + low] + tap * axis.step - low * stride
    if stride == 1:
        for b in range(low, high):
            v[b] = x[b]
    elif stride == 2:
        for b in range(low, high):
            v[b] = x[2 * b]
    else:
        for b in range(low, high):
            v[b] = x[stride * b]


cdef inline bint exceeds(real b, real a) noexcept nogil:
    """Whether b replaces a: the first of equal elements stays, the last NaN wins, as in PyTorch."""
    return (b > a) | (b != b)


cdef inline void max_line(
    real *y, uint8_t *tap, int64_t *index, const real *x, Windows *windows, Py_ssize_t row
) noexcept nogil:
    """A row of the output of one plane x."""
    cdef Axis *rows = &windows.rows
    cdef Axis *columns = &windows.columns
    cdef real best[BLOCK]
    cdef real v[BLOCK]
    cdef int at[BLOCK]
    cdef Py_ssize_t start = 0, width, top, b, i, j
    cdef int t
    cdef bint find = tap is not NULL or index is not NULL
    while start < columns.count:
        width = min(columns.count - start, <Py_ssize_t> BLOCK)
        fetch(best, x + rows.first[row] * columns.size, columns, start, width, 0, <real> 0)
        for b in range(width):
            at[b] = 0
        for i in range(rows.found[row]):
            top = (rows.first[row] + i * rows.step) * columns.size
            for j in range(1 if i == 0 else 0, columns.taps):
                t = <int> (i * columns.taps + j)
                fetch(v, x + top, columns, start, width, j, <real> -INFINITY)
                for b in range(width):
                    if find:
                        at[b] = t if exceeds(v[b], best[b]) else at[b]
                    best[b] = v[b] if exceeds(v[b], best[b]) else best[b]
        for b in range(width):
            y[start + b] = best[b]
        if tap is not NULL:
            for b in range(width):
                tap[start + b] = <uint8_t> at[b]
        if index is not NULL:
            for b in range(width):
                top = (rows.first[row] + at[b] // columns.taps * rows.step) * columns.size
                index[start + b] = top + columns.first[start + b] + at[b] % columns.taps * columns.step
        start = start + BLOCK


cdef inline void max_halves(
    real *y, uint8_t *tap, const real *x, Windows *windows, Py_ssize_t start, Py_ssize_t stop, bint find
) noexcept nogil:
    """Some rows of the output where windows are 2 x 2: downwards row by row, then sideways over all of them."""
    cdef Py_ssize_t H = windows.rows.size, W = windows.columns.size
    cdef Py_ssize_t count = windows.rows.count, width = 2 * windows.columns.count
    cdef real best[STRETCH]
    cdef int at[STRETCH]
    cdef const real *top
    cdef real a, b
    cdef int i, j
    cdef bint right
    cdef Py_ssize_t row, w, o, k = 0
    for row in range(start, stop):
        top = x + (row // count * H + row % count * 2) * W
        for w in range(width):
            a, b = top[w], top[W + w]
            best[k + w] = b if exceeds(b, a) else a
            if find:
                at[k + w] = 2 if exceeds(b, a) else 0
        k = k + width
    y += start * windows.columns.count
    if not find:
        for o in range(k // 2):
            a, b = best[2 * o], best[2 * o + 1]
            y[o] = b if exceeds(b, a) else a
        return
    tap += start * windows.columns.count
    for o in range(k // 2):
        a, b, i, j = best[2 * o], best[2 * o + 1], at[2 * o], at[2 * o + 1] + 1
        # a column came before the next: among equal elements, and among NaN, it is the place in the window that counts
        right = (b > a) | ((b == a) & (j < i)) | ((b != b) & ((a == a) | (j > i)))
        y[o] = b if right else a
        tap[o] = <uint8_t> (j if right else i)


cdef void max_unit(
    real *y, uint8_t *tap, int64_t *index, const real *x, Windows *windows, Py_ssize_t unit
) noexcept nogil:
    cdef Py_ssize_t start = unit * windows.lines, stop = min(start + windows.lines, windows.total)
    cdef Py_ssize_t row, to, count = windows.rows.count
    if windows.halves and index is NULL:
        if tap is NULL:
            max_halves(y, tap, x, windows, start, stop, False)
        else:
            max_halves(y, tap, x, windows, start, stop, True)
        return
    for row in range(start, stop):
        to = row * windows.columns.count
        max_line(
            y + to, NULL if tap is NULL else tap + to, NULL if index is NULL else index + to,
            x + row // count * windows.rows.size * windows.columns.size, windows, row % count,
        )


cdef int _max_pool(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # p: y tap index x; tap: the place of y in its window, found row by row, as a byte; index: that in its plane
    cdef Windows windows = windows_at(n)
    cdef Py_ssize_t unit
    if windows.work < PARALLEL or threads() == 1:
        for unit in range(windows.units):
            max_unit(p[0], <uint8_t *> p[1], <int64_t *> p[2], p[3], &windows, unit)
    else:
        for unit in prange(windows.units, schedule="static", num_threads=threads()):
            max_unit(p[0], <uint8_t *> p[1], <int64_t *> p[2], p[3], &windows, unit)
    return OK


cdef inline void mean_line(real *y, const real *x, Windows *windows, Py_ssize_t row) noexcept nogil:
    """A row of the output of one plane x."""
    cdef Axis *rows = &windows.rows
    cdef Axis *columns = &windows.columns
    cdef double total[BLOCK]
    cdef real v[BLOCK]
    cdef Py_ssize_t start = 0, width, b, i, j
    while start < columns.count:
        width = min(columns.count - start, <Py_ssize_t> BLOCK)
        for b in range(width):
            total[b] = 0
        for i in range(rows.found[row]):
            for j in range(columns.taps):
                fetch(v, x + (rows.first[row] + i * rows.step) * columns.size, columns, start, width, j, <real> 0)
                for b in range(width):
                    total[b] += v[b]
        for b in range(width):
            y[start + b] = <real> (total[b] / (rows.extent[row] * columns.extent[start + b]))
        start = start + BLOCK


cdef inline void mean_halves(
    real *y, const real *x, Windows *windows, Py_ssize_t start, Py_ssize_t stop
) noexcept nogil:
    """Some rows of the output where windows are 2 x 2."""
    cdef Py_ssize_t H = windows.rows.size, W = windows.columns.size
    cdef Py_ssize_t count = windows.rows.count, width = 2 * windows.columns.count
    cdef real total[STRETCH]
    cdef const real *top
    cdef Py_ssize_t row, w, o, k = 0
    cdef real factor = <real> (1 / <double> (windows.rows.extent[0] * windows.columns.extent[0]))
    for row in range(start, stop):
        top = x + (row // count * H + row % count * 2) * W
        for w in range(width):
            total[k + w] = top[w] + top[W + w]
        k = k + width
    y += start * windows.columns.count
    for o in range(k // 2):
        y[o] = (total[2 * o] + total[2 * o + 1]) * factor


cdef void mean_unit(real *y, const real *x, Windows *windows, Py_ssize_t unit) noexcept nogil:
    cdef Py_ssize_t start = unit * windows.lines, stop = min(start + windows.lines, windows.total)
    cdef Py_ssize_t row, count = windows.rows.count
    if windows.halves:
        mean_halves(y, x, windows, start, stop)
        return
    for row in range(start, stop):
        mean_line(
            y + row * windows.columns.count, x + row // count * windows.rows.size * windows.columns.size,
            windows, row % count,
        )


cdef int _avg_pool(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # p: y x
    cdef Windows windows = windows_at(n)
    cdef Py_ssize_t unit
    if windows.work < PARALLEL or threads() == 1:
        for unit in range(windows.units):
            mean_unit(p[0], p[1], &windows, unit)
    else:
        for unit in prange(windows.units, schedule="static", num_threads=threads()):
            mean_unit(p[0], p[1], &windows, unit)
    return OK


max_pool = Kernel("max_pool", {"float32": <size_t> _max_pool[float], "float64": <size_t> _max_pool[double]})
avg_pool = Kernel("avg_pool", {"float32": <size_t> _avg_pool[float], "float64": <size_t> _avg_pool[double]})
