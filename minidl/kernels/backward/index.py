"""Backward passes of what repeats numbers: a gradient is the sum over the copies.

Threads split the gradient that is written, never a sum, so the order of every sum is fixed.
"""

from numba import carray, prange

from minidl.kernels.backward.compiler import PARALLEL, as_int64, body, kernel, loops

BLOCK = 64  # sums computed together: a few vectors wide, so that rows are read in whole cache lines
PARTS = 16  # that the rows of one gradient are cut into, whatever the number of threads


@body
def _offset(index, sizes, strides):
    offset = 0
    for d in range(sizes.size - 1, -1, -1):
        offset += index % sizes[d] * strides[d]
        index //= sizes[d]
    return offset


@body
def _sum_block(dx, dy, kept, kept_strides, summed, summed_strides, unit):
    inner, step = kept[-1], kept_strides[-1]
    last, stride = summed[-1], summed_strides[-1]
    blocks = (inner + BLOCK - 1) // BLOCK
    low = unit % blocks * BLOCK
    count = min(BLOCK, inner - low)
    to = unit // blocks * inner + low
    start = _offset(unit // blocks, kept[:-1], kept_strides[:-1]) + low * step
    repeats = 1
    for size in summed[:-1]:
        repeats *= size
    for j in range(count):
        dx[to + j] = 0
    for r in range(repeats):
        at = start + _offset(r, summed[:-1], summed_strides[:-1])
        if stride == 1:
            for j in range(count):
                total = dx.dtype.type(0)
                for k in range(last):
                    total += dy[at + j * step + k]
                dx[to + j] += total
        else:
            for k in range(last):
                for j in range(count):
                    dx[to + j] += dy[at + k * stride + j * step]


@loops
def _expand(dx, dy, kept, kept_strides, summed, summed_strides):
    units = dx.size // kept[-1] * ((kept[-1] + BLOCK - 1) // BLOCK)
    if dy.size < PARALLEL:
        for unit in range(units):
            _sum_block(dx, dy, kept, kept_strides, summed, summed_strides, unit)
    else:
        for unit in prange(units):
            _sum_block(dx, dy, kept, kept_strides, summed, summed_strides, unit)


@kernel
def expand(p, n, a):
    """dx[k] = sum over r of dy[k . strides + r . strides]; p: dx dy, n: size of dx, of dy, K, R, then sizes and
    strides in dy of K kept and R summed dimensions."""
    K, R = n[2], n[3]
    layout = carray(n, 4 + 2 * K + 2 * R)[4:]
    kept, kept_strides = layout[:K], layout[K : 2 * K]
    summed, summed_strides = layout[2 * K : 2 * K + R], layout[2 * K + R :]
    _expand(carray(p[0], n[0]), carray(p[1], n[1]), kept, kept_strides, summed, summed_strides)
    return 0


@body
def _add_rows(dx, dy, index, low, high):
    for q in range(low, high):
        for i in range(dx.shape[1]):
            dx[q, i] = 0
    for b in range(index.size):
        if low <= index[b] < high:
            for i in range(dx.shape[1]):
                dx[index[b], i] += dy[b, i]


@loops
def _take(dx, dy, index):
    O, P, _ = dx.shape
    if dx.size + dy.size < PARALLEL:
        for o in range(O):
            _add_rows(dx[o], dy[o], index, 0, P)
    elif O >= PARTS:
        for o in prange(O):
            _add_rows(dx[o], dy[o], index, 0, P)
    else:
        for unit in prange(O * PARTS):
            o, part = unit // PARTS, unit % PARTS
            _add_rows(dx[o], dy[o], index, P * part // PARTS, P * (part + 1) // PARTS)


@kernel
def take(p, n, a):
    """dx[o, q, i] = sum of dy[o, b, i] over all b with index[b] = q; p: dx dy index, n: O P B I."""
    O, P, B, I = n[0], n[1], n[2], n[3]
    _take(carray(p[0], (O, P, I)), carray(p[1], (O, B, I)), carray(as_int64(p[2]), B))
    return 0


@body
def _add_elements(dx, dy, index):
    for q in range(dx.shape[0]):
        for i in range(dx.shape[1]):
            dx[q, i] = 0
    for j in range(dy.shape[0]):
        for i in range(dy.shape[1]):
            dx[index[j, i], i] += dy[j, i]


@loops
def _gather(dx, dy, index):
    if dx.size + dy.size < PARALLEL:
        for o in range(dx.shape[0]):
            _add_elements(dx[o], dy[o], index[o])
    else:
        for o in prange(dx.shape[0]):
            _add_elements(dx[o], dy[o], index[o])


@kernel
def gather(p, n, a):
    """dx[o, q, i] = sum of dy[o, l, i] over all l with index[o, l, i] = q; p: dx dy index, n: O P L I."""
    O, P, L, I = n[0], n[1], n[2], n[3]
    _gather(carray(p[0], (O, P, I)), carray(p[1], (O, L, I)), carray(as_int64(p[2]), (O, L, I)))
    return 0
