"""Backward passes that sum."""

from numba import carray, prange

from minidl.kernels.backward.compiler import PARALLEL, kernel, loops

COLUMNS = 512  # columns summed by one thread: long enough stretches of a row for the prefetcher


@loops
def _column_sum(db, dy):
    M, N = dy.shape
    if M * N < PARALLEL:
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
