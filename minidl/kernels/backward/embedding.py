"""Backward passes of bags of embeddings: a row of the table gets a sum over the bags that it is in.

Threads split the gradient that is written, never a sum, so the order of every sum is fixed.
"""

from numba import carray, prange

from minidl.kernels.backward.compiler import as_int64, body, kernel, loops, serial, shares

COLUMNS = 64  # of one thread


@body
def _add_bags(dx, dy, share, index, edges, skip, part, parts):
    """The sums for those rows that belong to `part`."""
    P, D = dx.shape
    for q in range(part, P, parts):
        for i in range(D):
            dx[q, i] = 0
    for s in range(edges.size - 1):
        for b in range(edges[s], edges[s + 1]):
            q = index[b]
            if q & (parts - 1) == part and q != skip:
                for i in range(D):
                    dx[q, i] += share[b] * dy[s, i]


@loops
def _sum_bags(dx, dy, share, index, edges, skip):
    if serial(4 * index.size + (dx.size + index.size * dx.shape[1]) // 16):  # a row is found, then added in vectors
        _add_bags(dx, dy, share, index, edges, skip, 0, 1)
    else:
        parts = shares()
        for part in prange(parts):
            _add_bags(dx, dy, share, index, edges, skip, part, parts)


@kernel
def sum_bags(p, n, a):
    """dx[q] = sum of share[b] dy[bag of b] over all b with index[b] = q; dx[skip] = 0.

    p: dx dy share index edges, n: P rows of dx, D, S bags, N entries, skip.
    """
    P, D, S, N, skip = n[0], n[1], n[2], n[3], n[4]
    index, edges = carray(as_int64(p[3]), N), carray(as_int64(p[4]), S + 1)
    _sum_bags(carray(p[0], (P, D)), carray(p[1], (S, D)), carray(p[2], N), index, edges, skip)
    return 0


@body
def _weights_of_bag(dw, dy, x, index, edges, skip, s):
    for b in range(edges[s], edges[s + 1]):
        q = index[b]
        total = dw.dtype.type(0)
        if q != skip:
            for i in range(x.shape[1]):
                total += dy[s, i] * x[q, i]
        dw[b] = total


@loops
def _bag_weights(dw, dy, x, index, edges, skip):
    if serial(index.size * (4 + x.shape[1] // 16)):
        for s in range(edges.size - 1):
            _weights_of_bag(dw, dy, x, index, edges, skip, s)
    else:
        for s in prange(edges.size - 1):
            _weights_of_bag(dw, dy, x, index, edges, skip, s)


@kernel
def bag_weights(p, n, a):
    """dw[b] = dy[bag of b] . x[index[b]], or 0 where the index is skip; p: dw dy x index edges, n: P D S N skip."""
    P, D, S, N, skip = n[0], n[1], n[2], n[3], n[4]
    index, edges = carray(as_int64(p[3]), N), carray(as_int64(p[4]), S + 1)
    _bag_weights(carray(p[0], N), carray(p[1], (S, D)), carray(p[2], (P, D)), index, edges, skip)
    return 0


@body
def _add_columns(dx, dy, argmax, low, high):
    for q in range(dx.shape[0]):
        for i in range(low, high):
            dx[q, i] = 0
    for s in range(dy.shape[0]):
        for i in range(low, high):
            q = argmax[s, i]
            if q >= 0:
                dx[q, i] += dy[s, i]


@loops
def _max_bags(dx, dy, argmax):
    D = dx.shape[1]
    if serial(dx.size // 16 + dy.size):
        _add_columns(dx, dy, argmax, 0, D)
    else:
        for block in prange((D + COLUMNS - 1) // COLUMNS):
            _add_columns(dx, dy, argmax, block * COLUMNS, min(D, (block + 1) * COLUMNS))


@kernel
def max_bags(p, n, a):
    """dx[q, i] = sum of dy[s, i] over all s with argmax[s, i] = q, -1 being none; p: dx dy argmax, n: P D S."""
    P, D, S = n[0], n[1], n[2]
    _max_bags(carray(p[0], (P, D)), carray(p[1], (S, D)), carray(as_int64(p[2]), (S, D)))
    return 0
