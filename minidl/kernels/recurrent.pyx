"""Forward kernels of the recurrent layers: the whole loop over time, for one layer and one direction.

Every kernel has ``p = [y, h_n, c_n, states, cells, gates, x, weight, bias, peephole, h_0, c_0, tokens, lengths]`` and
``n = [T, B, H, reverse]``; what a layer does not have is NULL:

- y[T, B, H]: the outputs, zeros behind the end of a sequence; NULL without lengths, when the states are the outputs.
- states[T + 1, B, H], cells likewise: h and c around every step; row 0 (reverse: row T) is the one to start from.
- gates[T, B, S]: what the backward pass needs, as each step names it.
- x[T, B, G H]: the inputs' share of the gates; with tokens[T, B] a table of it, with a row per token.
- weight: W_hh[G H, H], packed by `gemm.pack_once` as [H, G H]; bias[G H]; peephole[3, H].
- lengths[B]: a sequence takes part in steps t < length, and keeps its state in the others.

Threads split the batch, so none waits for another between steps.
"""

from cython.parallel cimport prange
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

cimport minidl.kernels.vmath as vmath
from minidl.kernels.gemm cimport gemm_packed
from minidl.kernels.kernel cimport SERIAL, Status, flush_denormals, real, restore_denormals, threads

from minidl.kernels.kernel import Kernel

# One step of one sequence: h (and c) from those before; at first gates holds h W_hh^T + bias, but for RNNs h does.
ctypedef void (*step_t)(
    real *h, real *c, real *gates, const real *x, const real *before, const real *c_before, const real *peephole,
    Py_ssize_t H) noexcept nogil


cdef inline void add(real *y, const real *x, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        y[i] += x[i]


cdef inline void add_product(real *y, const real *a, const real *b, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        y[i] += a[i] * b[i]


cdef inline void sigmoid(real *y, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        y[i] = vmath.sigmoid(y[i])


cdef inline void tanh(real *y, const real *x, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        y[i] = vmath.tanh(x[i])


cdef void rnn_tanh_step(
    real *h, real *c, real *gates, const real *x, const real *before, const real *c_before, const real *peephole,
    Py_ssize_t H,
) noexcept nogil:
    add(h, x, H)
    tanh(h, h, H)


cdef void rnn_relu_step(
    real *h, real *c, real *gates, const real *x, const real *before, const real *c_before, const real *peephole,
    Py_ssize_t H,
) noexcept nogil:
    cdef Py_ssize_t i
    add(h, x, H)
    for i in range(H):
        h[i] = 0 if h[i] < 0 else h[i]  # keeps NaN


cdef void lstm_step(
    real *h, real *c, real *gates, const real *x, const real *before, const real *c_before, const real *peephole,
    Py_ssize_t H,
) noexcept nogil:
    """gates: i, f, g, o, tanh(c)."""
    cdef:
        Py_ssize_t j
        real *f = gates + H
        real *g = gates + 2 * H
        real *o = gates + 3 * H
        real *tanh_c = gates + 4 * H
    add(gates, x, 4 * H)
    if peephole != NULL:
        add_product(gates, peephole, c_before, H)
        add_product(f, peephole + H, c_before, H)
    sigmoid(gates, 2 * H)
    tanh(g, g, H)
    for j in range(H):
        c[j] = f[j] * c_before[j] + gates[j] * g[j]
    if peephole != NULL:
        add_product(o, peephole + 2 * H, c, H)
    sigmoid(o, H)
    tanh(tanh_c, c, H)
    for j in range(H):
        h[j] = o[j] * tanh_c[j]


cdef void gru_step(
    real *h, real *c, real *gates, const real *x, const real *before, const real *c_before, const real *peephole,
    Py_ssize_t H,
) noexcept nogil:
    """gates: r, z, the share of h in n, n."""
    cdef:
        Py_ssize_t j
        real *z = gates + H
        real *share = gates + 2 * H
        real *n = gates + 3 * H
        const real *x_n = x + 2 * H
    add(gates, x, 2 * H)
    sigmoid(gates, 2 * H)
    for j in range(H):
        n[j] = x_n[j] + gates[j] * share[j]
    tanh(n, n, H)
    for j in range(H):
        h[j] = n[j] + z[j] * (before[j] - n[j])


cdef inline real *row(real *array, Py_ssize_t i, Py_ssize_t width) noexcept nogil:
    return NULL if array == NULL else array + i * width


cdef void copy(real *y, const real *x, Py_ssize_t size) noexcept nogil:
    """y = x; zeros where x is NULL, nothing where y is."""
    if y != NULL and x != NULL:
        memcpy(y, x, size * sizeof(real))
    elif y != NULL:
        memset(y, 0, size * sizeof(real))


cdef void scan_rows(
    step_t step, Py_ssize_t G, Py_ssize_t S, real **p, const Py_ssize_t *n, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """All steps of the sequences first <= b < last; G gates, of which S numbers times H are kept."""
    cdef:
        Py_ssize_t T = n[0], B = n[1], H = n[2], s, t, b, i, r, now, before, rows
        real *h = p[3]
        real *c = p[4]
        real *product
        const int64_t *tokens = <const int64_t *>p[12]
        const int64_t *lengths = <const int64_t *>p[13]
        unsigned int denormals = flush_denormals()
    i = (T if n[3] else 0) * B + first
    copy(row(h, i, H), row(p[10], first, H), (last - first) * H)
    copy(row(c, i, H), row(p[11], first, H), (last - first) * H)
    for s in range(T):
        t = T - 1 - s if n[3] else s
        now = (t if n[3] else t + 1) * B
        before = (t + 1 if n[3] else t) * B
        rows = last
        while lengths != NULL and rows > first and lengths[rows - 1] <= t:
            rows -= 1
        product = row(p[5], t * B + first, S * H) if p[5] != NULL else row(h, now + first, H)
        gemm_packed(product, <const real *>row(h, before + first, H), <const real *>p[7], rows - first, G * H, H, H,
                    S * H, False, <const real *>p[8])
        for b in range(first, last):
            r = t * B + b
            if lengths == NULL or t < lengths[b]:
                step(row(h, now + b, H), row(c, now + b, H), row(p[5], r, S * H),
                     <const real *>row(p[6], r if tokens == NULL else tokens[r], G * H),
                     <const real *>row(h, before + b, H), <const real *>row(c, before + b, H), <const real *>p[9], H)
                copy(row(p[0], r, H), <const real *>row(h, now + b, H), H)
            else:
                copy(row(h, now + b, H), <const real *>row(h, before + b, H), H)
                copy(row(c, now + b, H), <const real *>row(c, before + b, H), H)
                if p[0] != NULL:
                    memset(p[0] + r * H, 0, H * sizeof(real))
    i = (0 if n[3] else T) * B + first
    copy(row(p[1], first, H), <const real *>row(h, i, H), (last - first) * H)
    copy(row(p[2], first, H), <const real *>row(c, i, H), (last - first) * H)
    restore_denormals(denormals)


cdef inline int scan(step_t step, Py_ssize_t G, Py_ssize_t S, real **p, const Py_ssize_t *n) noexcept nogil:
    cdef:
        Py_ssize_t T = n[0], B = n[1], H = n[2], rows, i
        int workers = <int>min(min(<Py_ssize_t>threads(), B), T * B * G * H * H // SERIAL)
        const int64_t *lengths = <const int64_t *>p[13]
    for i in range(B if lengths != NULL else 0):
        if lengths[i] < 1 or lengths[i] > T:
            return Status.BAD_INDEX
    if workers <= 1:
        scan_rows(step, G, S, p, n, 0, B)
        return 0
    rows = (B + workers - 1) // workers
    for i in prange(workers, num_threads=workers, schedule="static"):
        scan_rows(step, G, S, p, n, min(rows * i, B), min(rows * (i + 1), B))
    return 0


cdef int _rnn_tanh(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return scan(rnn_tanh_step[real], 1, 1, p, n)


cdef int _rnn_relu(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return scan(rnn_relu_step[real], 1, 1, p, n)


cdef int _lstm(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return scan(lstm_step[real], 4, 5, p, n)


cdef int _gru(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return scan(gru_step[real], 3, 4, p, n)


rnn_tanh = Kernel("rnn_tanh", {"float32": <size_t>_rnn_tanh[float], "float64": <size_t>_rnn_tanh[double]})
rnn_relu = Kernel("rnn_relu", {"float32": <size_t>_rnn_relu[float], "float64": <size_t>_rnn_relu[double]})
lstm = Kernel("lstm", {"float32": <size_t>_lstm[float], "float64": <size_t>_lstm[double]})
gru = Kernel("gru", {"float32": <size_t>_gru[float], "float64": <size_t>_gru[double]})
