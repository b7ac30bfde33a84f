"""Backward passes of the recurrent layers: the whole loop over time, backwards, for one layer and one direction.

`through_time` has ``p = [d, d_share, dh, dc, squares, norms, dy, gates, states, cells, weight, peephole, lengths]``,
without what the layer does not have, and ``n = [T, B, H, reverse, kind, G, S, peepholes]``, a kind of layer being one
of the constants below, with G products and S numbers kept per unit and 1 if it has peepholes. ``a`` is the bound that
each sequence's dE/dh_t is scaled down to at every step, Inf for none:

- d[T, B, G H]: gradient of the inputs' share of the gates, zeros behind the end of a sequence.
- dh[B, H] and dc[B, H]: gradient of the last state, and at the end that of the first.
- squares[T, B]: the square of |dE/dh_t| before it is scaled; norms[2 + T]: T, how many of squares were above the bound,
  then |dE/dh_t| for every t (all in float64).
- gates, states, cells, lengths: as in the forward kernels; weight: W_hh, packed by `gemm.pack_once` as [G H, H].

Threads split the batch, so none waits for another between steps.
"""

from typing import Any

import llvmlite.binding
from numba import carray, prange, types

from minidl.kernels.backward.compiler import (
    as_double,
    as_int64,
    flush_denormals,
    kernel,
    loops,
    piece,
    restore_denormals,
    serial,
    threads,
)
from minidl.kernels.gemm import add_packed_address
from minidl.kernels.kernel import SERIAL

RNN_TANH, RNN_RELU, LSTM, GRU = range(4)
INFINITY = float("inf")

llvmlite.binding.add_symbol("minidl_add_packed", add_packed_address)
_add_packed: Any = types.ExternalFunction("minidl_add_packed", types.void(types.intp, *[types.intp] * 6))


@piece
def _rnn_step(d, dh, h, relu):
    for j in range(dh.size):
        if relu:
            d[j] = dh[j] if h[j] > 0 else 0
        else:
            d[j] = dh[j] * (1 - h[j] * h[j])
    dh[:] = 0


@piece
def _lstm_step(d, dh, dc, gates, c_before, peephole):
    H, one = dh.size, dh.dtype.type(1)
    i, f, g, o, tanh_c = gates[:H], gates[H : 2 * H], gates[2 * H : 3 * H], gates[3 * H : 4 * H], gates[4 * H :]
    di, df, dg, do = d[:H], d[H : 2 * H], d[2 * H : 3 * H], d[3 * H :]
    if peephole.size:
        for j in range(H):
            dc[j] += dh[j] * tanh_c[j] * o[j] * (one - o[j]) * peephole[2, j]
    for j in range(H):
        slope = dc[j] + dh[j] * o[j] * (one - tanh_c[j] * tanh_c[j])
        do[j] = dh[j] * tanh_c[j] * o[j] * (one - o[j])
        di[j] = slope * g[j] * i[j] * (one - i[j])
        df[j] = slope * c_before[j] * f[j] * (one - f[j])
        dg[j] = slope * i[j] * (one - g[j] * g[j])
        dc[j] = slope * f[j]
        dh[j] = 0
    if peephole.size:
        for j in range(H):
            dc[j] += di[j] * peephole[0, j] + df[j] * peephole[1, j]


@piece
def _gru_step(d, d_share, dh, gates, before):
    H, one = dh.size, dh.dtype.type(1)
    r, z, share, n = gates[:H], gates[H : 2 * H], gates[2 * H : 3 * H], gates[3 * H :]
    dr, dz, dn = d[:H], d[H : 2 * H], d[2 * H :]
    for j in range(H):
        dn[j] = dh[j] * (one - z[j]) * (one - n[j] * n[j])
        dz[j] = dh[j] * (before[j] - n[j]) * z[j] * (one - z[j])
        dr[j] = dn[j] * share[j] * r[j] * (one - r[j])
        dh[j] *= z[j]
    for j in range(2 * H):
        d_share[j] = d[j]
    for j in range(H):
        d_share[2 * H + j] = dn[j] * r[j]


@piece
def _scale(g, factor):
    factor = g.dtype.type(factor)
    for j in range(g.size):
        g[j] *= factor


@piece
def _scan(
    kind, low, high, d, d_share, dh, dc, squares, dy, gates, states, cells, weight, peephole, lengths, reverse, limit
):
    """All steps of the sequences low <= b < high."""
    T, _, H = dy.shape
    denormals = flush_denormals()
    for s in range(T):
        t = s if reverse else T - 1 - s
        now, before = (t, t + 1) if reverse else (t + 1, t)
        rows = 0
        for b in range(low, high):
            if t >= lengths[b]:
                d[t, b] = 0
                if kind == GRU:
                    d_share[t, b] = 0
                squares[t, b] = 0
                continue
            rows = b + 1 - low
            g, more = dh[b], dy[t, b]
            for j in range(H):
                g[j] += more[j]
            square = 0.0  # in float64, where a gradient that has nearly vanished still has a square
            for j in range(H):
                square += types.float64(g[j]) * types.float64(g[j])
            squares[t, b] = square
            if limit < square < INFINITY:  # what is NaN or Inf stays so
                _scale(g, (limit / square) ** 0.5)
            if kind == LSTM:
                _lstm_step(d[t, b], g, dc[b], gates[t, b], cells[before, b], peephole)
            elif kind == GRU:
                _gru_step(d[t, b], d_share[t, b], g, gates[t, b], states[before, b])
            else:
                _rnn_step(d[t, b], g, states[now, b], kind == RNN_RELU)
        if rows:
            source = d_share[t, low:] if kind == GRU else d[t, low:]
            _add_packed(dh[low:].ctypes.data, source.ctypes.data, weight.ctypes.data, rows, H, d.shape[2], dh.itemsize)
    restore_denormals(denormals)


@loops
def _split(
    workers, kind, d, d_share, dh, dc, squares, dy, gates, states, cells, weight, peephole, lengths, reverse, limit
):
    B = dh.shape[0]
    part = (B + workers - 1) // workers
    if workers == 1:  # a forked child may enter no parallel region
        _scan(
            kind, 0, B, d, d_share, dh, dc, squares, dy, gates, states, cells, weight, peephole, lengths, reverse, limit
        )
        return
    for worker in prange(workers):
        low, high = min(worker * part, B), min((worker + 1) * part, B)
        _scan(
            kind, low, high, d, d_share, dh, dc, squares, dy, gates, states, cells, weight, peephole, lengths, reverse,
            limit,
        )  # fmt: skip


@piece
def _sum_norms(norms, squares):
    for t in range(squares.shape[0]):
        total = 0.0
        for b in range(squares.shape[1]):
            total += squares[t, b]
        norms[t] = total**0.5


@piece
def _count(squares, limit):
    count = 0
    for t in range(squares.shape[0]):
        for b in range(squares.shape[1]):
            count += limit < squares[t, b] < INFINITY
    return count


@kernel
def through_time(p, n, a):
    """Gradients of all steps, the last first."""
    T, B, H, reverse, kind, G, S, peepholes = n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]
    gates, states, none = (T, B, G * H), (T + 1, B, H), (0, 0, 0)
    _split(
        max(1, min(threads(), B, T * B * G * H * H // SERIAL)),
        kind,
        carray(p[0], gates),
        carray(p[1], gates if kind == GRU else none),
        carray(p[2], (B, H)),
        carray(p[3], (B if kind == LSTM else 0, H)),
        carray(as_double(p[4]), (T, B)),
        carray(p[6], (T, B, H)),
        carray(p[7], (T, B, S * H)),
        carray(p[8], states),
        carray(p[9], states if kind == LSTM else none),
        carray(p[10], 1),
        carray(p[11], (3 * peepholes, H)),
        carray(as_int64(p[12]), B),
        reverse,
        a[0] * a[0],
    )
    norms, squares = carray(as_double(p[5]), 2 + T), carray(as_double(p[4]), (T, B))
    norms[0], norms[1] = T, _count(squares, a[0] * a[0])
    _sum_norms(norms[2:], squares)
    return 0


@piece
def _peephole(dp, d, cells, reverse):
    T, B, H = d.shape[0], d.shape[1], dp.shape[1]
    dp[:] = 0
    for t in range(T):
        now, before = (t, t + 1) if reverse else (t + 1, t)
        for b in range(B):
            for j in range(H):
                dp[0, j] += d[t, b, j] * cells[before, b, j]
            for j in range(H):
                dp[1, j] += d[t, b, H + j] * cells[before, b, j]
            for j in range(H):
                dp[2, j] += d[t, b, 3 * H + j] * cells[now, b, j]


@kernel
def peephole(p, n, a):
    """Gradient of the peepholes of an LSTM, on one thread; p: dp d cells, n: T B H reverse."""
    T, B, H = n[0], n[1], n[2]
    _peephole(carray(p[0], (3, H)), carray(p[1], (T, B, 4 * H)), carray(p[2], (T + 1, B, H)), n[3])
    return 0


@piece
def _penalise(v, later, h, relu, scale):
    """One sequence at one step; in float64, where a signal that has nearly vanished still has a square."""
    signal, carried = 0.0, 0.0
    for j in range(v.size):
        slope = (1 if h[j] > 0 else 0) if relu else 1 - h[j] * h[j]
        signal += types.float64(later[j]) ** 2
        carried += (types.float64(v[j]) * slope) ** 2
    factor = 0.0
    if signal > 0 and carried > 0:
        factor = scale * ((carried / signal) ** 0.5 - 1) / (carried**0.5 * signal**0.5)
    for j in range(v.size):
        slope = (1 if h[j] > 0 else 0) if relu else 1 - h[j] * h[j]
        v[j] *= factor * slope * slope


@loops
def _norm_penalty(v, later, states, relu, scale):
    if serial(v.size):
        for r in range(v.shape[0]):
            _penalise(v[r], later[r], states[r], relu, scale)
    else:
        for r in prange(v.shape[0]):
            _penalise(v[r], later[r], states[r], relu, scale)


@kernel
def norm_penalty(p, n, a):
    """From v = dE/da_t+1 W the matrix whose product with dE/da_t+1 is the gradient of the penalty: in place.

    p: v, dE/da_t+1, h_t; n: rows, B, H, whether h = relu(a); a: weight of the penalty.
    """
    shape = (n[0], n[2])
    _norm_penalty(carray(p[0], shape), carray(p[1], shape), carray(p[2], shape), n[3], 2 * a[0] / n[1])
    return 0
