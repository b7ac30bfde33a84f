"""Read-only measurements: activations, signals, weights, gradients and updates.

Each writes one row into a ring of rows, where ``clock = [steps seen, rows begun, steps between rows, rows of a ring]``
says which; the columns are those of `minidl.stabilize.probe`. Squares are summed in float64, where a signal that has
nearly vanished still has one.
"""

from libc.math cimport fabs, sqrt

from minidl.kernels.kernel cimport OK, real
from minidl.kernels.update cimport each, square_distance, square_sum

from minidl.kernels.kernel import Kernel

cdef enum:
    LANES = 16
    WIDE = 64
    COLUMNS = 10  # of an activation or a signal
    WEIGHT_COLUMNS = 6


cdef extern from "<math.h>" nogil:
    float fabsf(float)


cdef inline real magnitude(real x) noexcept nogil:
    if real is float:
        return fabsf(x)
    else:
        return fabs(x)


cdef int _tick(double **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # clock[4], open[1]: the gate opens at the first step and then at every clock[2]-th
    cdef double *clock = p[0]
    p[1][0] = <Py_ssize_t>clock[0] % <Py_ssize_t>clock[2] == 0
    clock[0] += 1
    clock[1] += p[1][0]
    return OK


cdef int _log(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # x[1], ring[N] (double), clock (double); n: N: one value in every step
    cdef const double *clock = <double *>p[2]
    (<double *>p[1])[(<Py_ssize_t>clock[0] - 1) % n[0]] = p[0][0]
    return OK


cdef double *row(double *ring, const double *clock, Py_ssize_t columns) noexcept nogil:
    cdef double *found = ring + (<Py_ssize_t>clock[1] - 1) % <Py_ssize_t>clock[3] * columns
    found[0] = clock[0]
    return found


cdef int _describe(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # x[O, U, I], low[U], high[U], ring (double), clock (double); n: O U I; a: bounds beyond which x is saturated
    cdef Py_ssize_t i, j, u, N = n[0] * n[1] * n[2], U = n[1]
    cdef const real *x = p[0]
    cdef real *low = p[1]
    cdef real *high = p[2]
    cdef real v, floor = <real>a[0], ceiling = <real>a[1], least, most
    cdef double[LANES] sums, squares
    cdef int[LANES] zeros, saturated, bad
    cdef double *r = row(<double *>p[3], <double *>p[4], COLUMNS)
    for j in range(LANES):
        sums[j] = squares[j] = 0
        zeros[j] = saturated[j] = bad[j] = 0
    for i in range(N // LANES):
        for j in range(LANES):
            v = x[i * LANES + j]
            sums[j] += v
            squares[j] += <double>v * <double>v
            zeros[j] += v == 0
            saturated[j] += (v <= floor) | (v >= ceiling)
            bad[j] += v - v != 0
    for j in range(N % LANES):
        v = x[N - N % LANES + j]
        sums[j] += v
        squares[j] += <double>v * <double>v
        zeros[j] += v == 0
        saturated[j] += (v <= floor) | (v >= ceiling)
        bad[j] += v - v != 0
    for j in range(1, LANES):
        sums[0] += sums[j]
        squares[0] += squares[j]
        zeros[0] += zeros[j]
        saturated[0] += saturated[j]
        bad[0] += bad[j]
    extremes(x, low, high, n)
    least, most = low[0], high[0]
    for j in range(7, COLUMNS):
        r[j] = 0
    for u in range(U):
        least = low[u] if low[u] < least else least
        most = high[u] if high[u] > most else most
        r[8] += low[u] == 0 and high[u] == 0
        r[9] += high[u] <= floor or low[u] >= ceiling
    r[1] = sums[0] / N
    r[2] = sqrt(squares[0] / N)
    r[3], r[4] = least, most
    r[5], r[6], r[7] = <double>zeros[0] / N, <double>saturated[0] / N, bad[0]
    r[8], r[9] = r[8] / U, r[9] / U
    return OK


cdef void extremes(const real *x, real *low, real *high, const Py_ssize_t *n) noexcept nogil:
    # of every unit, over all samples
    cdef Py_ssize_t u, i, U = n[1], inner = n[2]
    cdef real least, most, v
    for u in range(U):
        low[u] = high[u] = x[u * inner]
    for _ in range(n[0]):
        if inner == 1:
            for u in range(U):
                low[u] = x[u] if x[u] < low[u] else low[u]
                high[u] = x[u] if x[u] > high[u] else high[u]
        else:
            for u in range(U):
                least, most = low[u], high[u]
                for i in range(inner):
                    v = x[u * inner + i]
                    least = v if v < least else least
                    most = v if v > most else most
                low[u], high[u] = least, most
        x += U * inner


# Weights, their gradients and their updates: S segments of P parameters --------------------------------------------

cdef void _gradient_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    cdef Py_ssize_t i, j, S = n[0], N = n[1 + s]
    cdef const real *g = p[S + s]
    cdef double *found = <double *>p[2 * S] + 4 * s
    cdef real[WIDE] lane
    cdef real largest = 0
    for j in range(WIDE):
        lane[j] = 0
    for i in range(N // WIDE):
        for j in range(WIDE):
            lane[j] = max(lane[j], magnitude(g[i * WIDE + j]))
    for j in range(N % WIDE):
        lane[j] = max(lane[j], magnitude(g[N - N % WIDE + j]))
    for j in range(WIDE):
        largest = max(largest, lane[j])
    found[0] = square_sum(p[s], N)
    found[1] = square_sum(g, N)
    found[2], found[3] = largest, 0
    if found[1] - found[1] != 0:
        for i in range(N):
            found[3] += g[i] - g[i] != 0


cdef int _gradients(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S x, S g, found[S, 4] (double), ring (double), clock (double); n: S, sizes[S], parameters of the segments[S], P
    cdef Py_ssize_t s, k, S = n[0], P = n[1 + 2 * S]
    cdef const Py_ssize_t *owner = n + 1 + S
    cdef const double *found = <double *>p[2 * S]
    cdef double *ring = <double *>p[2 * S + 1]
    cdef const double *clock = <double *>p[2 * S + 2]
    cdef double *r
    each(_gradient_segment[real], p, n, a)
    for s in range(S):
        r = row(ring + owner[s] * WEIGHT_COLUMNS, clock, P * WEIGHT_COLUMNS)
        if s == 0 or owner[s] != owner[s - 1]:
            for k in range(1, WEIGHT_COLUMNS):
                r[k] = 0
        r[1] += found[4 * s]
        r[2] += found[4 * s + 1]
        r[3] = found[4 * s + 2] if found[4 * s + 2] > r[3] else r[3]
        r[4] += found[4 * s + 3]
        if s == S - 1 or owner[s] != owner[s + 1]:
            r[1], r[2] = sqrt(r[1]), sqrt(r[2])
    return OK


cdef void _update_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    (<double *>p[2 * n[0]])[s] = square_distance(p[s], p[n[0] + s], n[1 + s])


cdef int _updates(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S x, S x before, found[S] (double), ring (double), clock (double); n: as above
    cdef Py_ssize_t s, S = n[0], P = n[1 + 2 * S]
    cdef const Py_ssize_t *owner = n + 1 + S
    cdef const double *found = <double *>p[2 * S]
    cdef double *ring = <double *>p[2 * S + 1]
    cdef const double *clock = <double *>p[2 * S + 2]
    cdef double *update
    each(_update_segment[real], p, n, a)
    for s in range(S):
        update = row(ring + owner[s] * WEIGHT_COLUMNS, clock, P * WEIGHT_COLUMNS) + 5
        update[0] = found[s] + (0 if s == 0 or owner[s] != owner[s - 1] else update[0])
        if s == S - 1 or owner[s] != owner[s + 1]:
            update[0] = sqrt(update[0])
    return OK


tick = Kernel("tick", {"float64": <size_t>_tick})
log = Kernel("log", {"float32": <size_t>_log[float], "float64": <size_t>_log[double]})
describe = Kernel("describe", {"float32": <size_t>_describe[float], "float64": <size_t>_describe[double]})
gradients = Kernel("gradients", {"float32": <size_t>_gradients[float], "float64": <size_t>_gradients[double]})
updates = Kernel("updates", {"float32": <size_t>_updates[float], "float64": <size_t>_updates[double]})
