"""What the nodes around an update compute: sums and scales of gradients, spikes, snapshots, averages of weights.

For segments see update.pyx. What decides (is it the last of so many steps? is it a spike?) is one number in memory that
the calls behind it read.
"""

from cython.parallel cimport prange
from libc.math cimport fabs, isfinite, sqrt
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from minidl.kernels.kernel cimport OK, PARALLEL, SPIKE, real, threads
from minidl.kernels.statistics cimport note
from minidl.kernels.update cimport each, square_distance, square_sum

from minidl.kernels.kernel import Kernel

LOG = 16  # spikes that are remembered

cdef enum:
    ENTRIES = 16  # LOG
    FIELDS = 4  # of an entry: step, value, mean, deviation

cdef double FLOOR = 1e-2  # of the mean: no deviation is taken for smaller

# the cells of a guard: its settings, what it knows, its ring of snapshots
cdef enum:
    THRESHOLD
    ALPHA
    WARMUP
    FACTOR
    PATIENCE
    POLICY

cdef enum:
    MEAN
    VARIANCE
    SEEN
    ROW
    ACTION
    SPIKES

cdef enum:
    NEWEST
    FILLED
    GOOD

cdef enum:
    NONE
    SKIP
    LOWER
    ROLLBACK
    RAISE

ACTIONS = {"skip": SKIP, "lower": LOWER, "rollback": ROLLBACK, "raise": RAISE}


# Accumulation ----------------------------------------------------------------------------------------------------

cdef int _count(double **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # open[1], seen[1]; a: steps
    p[1][0] = 1 if p[0][0] else p[1][0] + 1
    p[0][0] = p[1][0] >= a[0]
    return OK


cdef void _gather_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    cdef Py_ssize_t i, S = n[0]
    cdef real *total = p[s]
    cdef real *g = p[S + s]
    cdef bint last = (<double *>p[2 * S])[0] != 0
    cdef double seen = (<double *>p[2 * S + 1])[0]
    cdef real share = <real>(1 / seen)
    if last and seen > 1:
        for i in range(n[1 + s]):
            g[i] = (total[i] + g[i]) * share
    elif seen > 1:
        for i in range(n[1 + s]):
            total[i] += g[i]
    elif not last:
        for i in range(n[1 + s]):
            total[i] = g[i]


cdef int _gather(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S totals, S g, open[1], seen[1] (double): the total so far, or, in the last step, g = the mean
    each(_gather_segment[real], p, n, a)
    return OK


# Loss scale ------------------------------------------------------------------------------------------------------

cdef int _scale(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[N] = x[N] * factor[1] (double)
    cdef Py_ssize_t i
    cdef real factor = <real>(<double *>p[2])[0]
    for i in range(n[0]):
        p[0][i] = p[1][i] * factor
    return OK


cdef void _unscale_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    cdef real *g = p[2 + s]
    cdef real factor = <real>(1 / (<double *>p[2 + n[0]])[0])
    cdef Py_ssize_t i
    cdef int found = 0
    for i in range(n[1 + s]):
        found |= g[i] - g[i] != 0
        g[i] *= factor
    (<double *>p[1])[s] = found


cdef int _unscale(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # open[1], spoiled[S] (double), S g, scale (double): closed if a g holds a NaN or an Inf
    cdef Py_ssize_t s
    each(_unscale_segment[real], p, n, a)
    for s in range(n[0]):
        if (<double *>p[1])[s] != 0:
            (<double *>p[0])[0] = 0
    return OK


cdef int _rescale(double **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # scale and good steps since it grew[2], C open[1], statistics; n: C; a: growth, backoff, interval
    cdef double *state = p[0]
    cdef double before = state[0]
    cdef bint found = False
    cdef Py_ssize_t i, C = n[0]
    for i in range(C):
        found |= p[1 + i][0] == 0
        p[1 + i][0] = 1
    if found:
        state[0] *= a[1]
        state[1] = 0
    else:
        state[1] += 1
        if state[1] == a[2]:
            if isfinite(<float>(state[0] * a[0])):
                state[0] *= a[0]
            state[1] = 0
    note(p[1 + C], before, state[0], found)
    return OK


# Spikes ----------------------------------------------------------------------------------------------------------

cdef void _square_sums(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    (<double *>p[0])[s] = square_sum(p[1 + s], n[1 + s])


cdef int _squares(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # sums[S] (double), S x: the sum of x^2 in each
    each(_square_sums[real], p, n, a)
    return OK


cdef void _square_distances(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    (<double *>p[0])[s] = square_distance(p[1 + s], p[1 + n[0] + s], n[1 + s])


cdef int _distances(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # sums[S] (double), S x, S y: the sum of (x - y)^2 in each
    each(_square_distances[real], p, n, a)
    return OK


cdef int _judge(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # open[1], state, log, statistics, G settings that begin with lr (all double), value; n: N, G.
    # The value is the root of the sum of N numbers (in double), or the one that is given (n0 = -1). a: as above
    cdef double *state = <double *>p[1]
    cdef double *entry = <double *>p[2]
    cdef Py_ssize_t i, G = n[1]
    cdef real *given = p[4 + G]
    cdef double value = 0, keep, distance
    cdef double deviation = max(sqrt(state[VARIANCE]), FLOOR * fabs(state[MEAN]))
    cdef bint spike
    for i in range(n[0]):
        value += given[i]
    value = sqrt(value) if n[0] >= 0 else given[0]
    spike = not isfinite(value) or (
        state[SEEN] >= a[WARMUP] and value > state[MEAN] + a[THRESHOLD] * deviation
    )
    if spike and state[ROW] >= a[PATIENCE] and isfinite(value):  # no spike, but a new level
        spike = False
        state[SEEN] = 0
    if spike:
        state[ROW] += 1
        state[ACTION] = RAISE if state[ROW] > a[PATIENCE] else a[POLICY]
        if state[ACTION] == LOWER or state[ACTION] == ROLLBACK:
            for i in range(G):
                (<double *>p[4 + i])[0] *= a[FACTOR]
        entry += FIELDS * (<Py_ssize_t>state[SPIKES] % ENTRIES)
        entry[0] = (<double *>p[3])[0]
        entry[1] = value
        entry[2] = state[MEAN]
        entry[3] = deviation
        state[SPIKES] += 1
    else:
        state[ROW] = 0
        state[ACTION] = NONE
        state[SEEN] += 1
        keep = min(a[ALPHA], 1 - 1 / state[SEEN])  # at first all count alike
        distance = value - state[MEAN] if state[SEEN] > 1 else 0
        state[MEAN] = state[MEAN] + (1 - keep) * distance if state[SEEN] > 1 else value
        state[VARIANCE] = keep * (state[VARIANCE] + (1 - keep) * distance * distance)
    (<double *>p[0])[0] = state[ACTION] == NONE
    note(<double *>p[3], value, state[MEAN], spike)
    return OK


cdef int _report(double **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # state: stops the tape where Python has something to do
    cdef double action = p[0][ACTION]
    if action == RAISE or action == LOWER or (action == ROLLBACK and a[FACTOR] != 1):
        return SPIKE
    return OK


# Snapshots -------------------------------------------------------------------------------------------------------

cdef void _move(uint8_t **p, const Py_ssize_t *n, uint8_t *store, Py_ssize_t slot, bint back) noexcept nogil:
    # between S arrays and a slot of the store; n: S, front, size of a slot, bytes[S], place in the slot[S].
    # The s-th weights, of `front`, and their state are moved by the thread that updates them: its cache has them
    cdef Py_ssize_t s
    store += slot * n[2]
    for s in prange(n[1], schedule="static", num_threads=threads(), use_threads_if=n[2] >= PARALLEL):
        _move_each(p, n, store, s, back)


cdef inline void _move_each(
    uint8_t **p, const Py_ssize_t *n, uint8_t *store, Py_ssize_t s, bint back
) noexcept nogil:
    cdef Py_ssize_t S = n[0]
    while s < S:
        if back:
            memcpy(p[s], store + n[3 + S + s], n[3 + s])
        else:
            memcpy(store + n[3 + S + s], p[s], n[3 + s])
        s += n[1]


cdef int _put_aside(uint8_t **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S arrays, store
    _move(p, n, p[n[0]], 0, False)
    return OK


cdef int _put_back(uint8_t **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S arrays, store, state (double): after a spike
    if (<double *>p[n[0] + 1])[ACTION] != NONE:
        _move(p, n, p[n[0]], 0, True)
    return OK


cdef int _keep(uint8_t **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S arrays, store, ring, state (double); a: slots, every.
    # After every so many good steps a snapshot, on a roll-back the oldest, which then is the only one
    cdef uint8_t *store = p[n[0]]
    cdef double *ring = <double *>p[n[0] + 1]
    cdef double action = (<double *>p[n[0] + 2])[ACTION]
    cdef Py_ssize_t slots = <Py_ssize_t>a[0], slot
    if action == NONE:
        if ring[GOOD] == 0:
            slot = (<Py_ssize_t>ring[NEWEST] + 1) % slots
            _move(p, n, store, slot, False)
            ring[NEWEST] = slot
            ring[FILLED] = min(ring[FILLED] + 1, a[0])
        ring[GOOD] = ring[GOOD] + 1 if ring[GOOD] + 1 < a[1] else 0
    elif action == ROLLBACK and ring[FILLED]:
        slot = (<Py_ssize_t>ring[NEWEST] + 1 - <Py_ssize_t>ring[FILLED] + slots) % slots
        _move(p, n, store, slot, True)
        ring[NEWEST] = slot
        ring[FILLED] = 1
        ring[GOOD] = 1 if a[1] > 1 else 0
    return OK


# Averages of weights ---------------------------------------------------------------------------------------------

cdef int _weigh(double **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # number of averaged weights and share of the next[2]; a: decay, or a negative number for equal shares; warm-up
    cdef double *state = p[0]
    cdef double t = state[0], decay = a[0]
    if a[1]:
        decay = min(decay, (1 + t) / (10 + t))
    state[1] = 1 if t == 0 else 1 / (t + 1) if decay < 0 else 1 - decay
    state[0] += 1
    return OK


cdef void _average_segment(real **p, const Py_ssize_t *n, const double *a, Py_ssize_t s) noexcept nogil:
    cdef Py_ssize_t i, S = n[0]
    cdef real *mean = p[s]
    cdef const real *x = p[S + s]
    cdef real share = <real>(<double *>p[2 * S])[1]
    if share == 1:
        for i in range(n[1 + s]):
            mean[i] = x[i]
    else:
        for i in range(n[1 + s]):
            mean[i] += share * (x[i] - mean[i])


cdef int _average(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # S means, S x, number and share[2] (double): mean += share (x - mean)
    each(_average_segment[real], p, n, a)
    return OK


count = Kernel("count", {"float64": <size_t>_count})
gather = Kernel("gather", {"float32": <size_t>_gather[float], "float64": <size_t>_gather[double]})
scale = Kernel("scale", {"float32": <size_t>_scale[float], "float64": <size_t>_scale[double]})
unscale = Kernel("unscale", {"float32": <size_t>_unscale[float], "float64": <size_t>_unscale[double]})
rescale = Kernel("rescale", {"float64": <size_t>_rescale})
squares = Kernel("squares", {"float32": <size_t>_squares[float], "float64": <size_t>_squares[double]})
distances = Kernel("distances", {"float32": <size_t>_distances[float], "float64": <size_t>_distances[double]})
judge = Kernel("judge", {"float32": <size_t>_judge[float], "float64": <size_t>_judge[double]})
report = Kernel("report", {"float64": <size_t>_report})
put_aside = Kernel("put_aside", {"uint8": <size_t>_put_aside})
put_back = Kernel("put_back", {"uint8": <size_t>_put_back})
keep = Kernel("keep", {"uint8": <size_t>_keep})
weigh = Kernel("weigh", {"float64": <size_t>_weigh})
average = Kernel("average", {"float32": <size_t>_average[float], "float64": <size_t>_average[double]})
