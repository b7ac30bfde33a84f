"""Backward passes of the reductions, and those that sum."""

from numba import carray, prange

from minidl.kernels.backward.compiler import as_int64, body, kernel, loops, serial

COLUMNS = 512  # columns summed by one thread: long enough stretches of a row for the prefetcher


@loops
def _column_sum(db, dy):
    M, N = dy.shape
    if serial(M * N // 16):  # one thread reads straight on; halves of rows a page apart fall into the same cache sets
        for j in range(N):
            db[j] = 0
        for i in range(M):
            for j in range(N):
                db[j] += dy[i, j]
    else:
        for block in prange((N + COLUMNS - 1) // COLUMNS):
            low = block * COLUMNS
            high = min(low + COLUMNS, N)
            for j in range(low, high):
                db[j] = 0
            for i in range(M):
                for j in range(low, high):
                    db[j] += dy[i, j]


@kernel
def column_sum(p, n, a):
    """db[j] = sum over i of dy[i, j]; p: db dy, n: M N."""
    M, N = n[0], n[1]
    _column_sum(carray(p[0], N), carray(p[1], (M, N)))
    return 0


@body
def prod_one(dx, dy, x, o):
    K, inner = x.shape[1:]
    for j in range(inner):
        before = x.dtype.type(1)
        for k in range(K):
            dx[o, k, j] = before
            before *= x[o, k, j]
        after = dy[o, j]
        for k in range(K - 1, -1, -1):
            dx[o, k, j] *= after
            after *= x[o, k, j]


@loops
def _prod(dx, dy, x):
    if serial(x.size):
        for o in range(x.shape[0]):
            prod_one(dx, dy, x, o)
    else:
        for o in prange(x.shape[0]):
            prod_one(dx, dy, x, o)


@kernel
def prod(p, n, a):
    """dx[k] = dy times the product of all x but x[k], without division; p: dx dy x, n: outer K inner."""
    outer, K, inner = n[0], n[1], n[2]
    _prod(carray(p[0], (outer, K, inner)), carray(p[1], (outer, inner)), carray(p[2], (outer, K, inner)))
    return 0


@body
def at_index_one(dx, dy, index, o):
    _, K, inner = dx.shape
    for k in range(K):
        for j in range(inner):
            dx[o, k, j] = dy[o, j] if index[o, j] == k else 0


@loops
def _at_index(dx, dy, index):
    if serial(dx.size):
        for o in range(dx.shape[0]):
            at_index_one(dx, dy, index, o)
    else:
        for o in prange(dx.shape[0]):
            at_index_one(dx, dy, index, o)


@kernel
def at_index(p, n, a):
    """dx[k] = dy at the index, else 0; p: dx dy index, n: outer K inner."""
    outer, K, inner = n[0], n[1], n[2]
    _at_index(carray(p[0], (outer, K, inner)), carray(p[1], (outer, inner)), carray(as_int64(p[2]), (outer, inner)))
    return 0


@loops
def _quotient_or_zero(q, dy, y):
    if serial(y.size):
        for i in range(y.size):
            q[i] = dy[i] / y[i] if y[i] != 0 else 0
    else:
        for i in prange(y.size):
            q[i] = dy[i] / y[i] if y[i] != 0 else 0


@kernel
def quotient_or_zero(p, n, a):
    """q = dy / y, 0 where y = 0; p: q dy y, n: N."""
    N = n[0]
    _quotient_or_zero(carray(p[0], N), carray(p[1], N), carray(p[2], N))
    return 0
