"""Backward passes of what repeats numbers: a gradient is the sum over the copies.

Threads split the gradient that is written, never a sum, so the order of every sum is fixed.
"""

from numba import carray, prange

from minidl.kernels.backward.compiler import as_int64, body, kernel, loops, serial, shares

BLOCK = 64  # sums computed together: a few vectors wide, so that rows are read in whole cache lines
PARTS = 16  # gradients side by side from which on threads share these out, not the rows of each
NARROW = 8  # elements of a row that are added in less time than it takes to see whose row it is


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
    sums = dx[to : to + count]
    sums[:] = 0
    for r in range(repeats):
        at = start + _offset(r, summed[:-1], summed_strides[:-1])
        if stride == 1:
            for j in range(count):
                row = dy[at + j * step : at + j * step + last]
                total = dx.dtype.type(0)
                for k in range(last):
                    total += row[k]
                sums[j] += total
        elif step == 1:
            for k in range(last):
                row = dy[at + k * stride : at + k * stride + count]
                for j in range(count):
                    sums[j] += row[j]
        else:
            for k in range(last):
                for j in range(count):
                    sums[j] += dy[at + k * stride + j * step]


@loops
def _expand(dx, dy, kept, kept_strides, summed, summed_strides):
    units = dx.size // kept[-1] * ((kept[-1] + BLOCK - 1) // BLOCK)
    if serial(dy.size):
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
def _add_rows(dx, dy, index, part, parts):
    """The sums for those rows that belong to `part`."""
    P, inner = dx.shape
    for q in range(part, P, parts):
        for i in range(inner):
            dx[q, i] = 0
    if inner == 1:  # a loop per element would cost more than the sum
        for b in range(index.size):
            if index[b] & (parts - 1) == part:
                dx[index[b], 0] += dy[b, 0]
        return
    for b in range(index.size):
        q = index[b]
        if q & (parts - 1) == part:
            for i in range(inner):
                dx[q, i] += dy[b, i]


@loops
def _take(dx, dy, index):
    outer, _, inner = dx.shape
    size = 4 * outer * index.size + (dx.size + dy.size) // 16  # a row is found, then added in vectors
    if serial(size) or outer < PARTS and inner < NARROW:
        for o in range(outer):
            _add_rows(dx[o], dy[o], index, 0, 1)
    elif outer >= PARTS:
        for o in prange(outer):
            _add_rows(dx[o], dy[o], index, 0, 1)
    else:
        parts = shares()
        for unit in prange(outer * parts):
            _add_rows(dx[unit // parts], dy[unit // parts], index, unit % parts, parts)


@kernel
def take(p, n, a):
    """dx[o, q, i] = sum of dy[o, b, i] over all b with index[b] = q; p: dx dy index, n: outer P B inner."""
    outer, P, B, inner = n[0], n[1], n[2], n[3]
    _take(carray(p[0], (outer, P, inner)), carray(p[1], (outer, B, inner)), carray(as_int64(p[2]), B))
    return 0


@body
def _add_elements(dx, dy, index):
    dx[:] = 0
    for j in range(dy.shape[0]):
        for i in range(dy.shape[1]):
            dx[index[j, i], i] += dy[j, i]


@loops
def _gather(dx, dy, index):
    if serial(dx.size + dy.size):
        for o in range(dx.shape[0]):
            _add_elements(dx[o], dy[o], index[o])
    else:
        for o in prange(dx.shape[0]):
            _add_elements(dx[o], dy[o], index[o])


@kernel
def gather(p, n, a):
    """dx[o, q, i] = sum of dy[o, l, i] over all l with index[o, l, i] = q; p: dx dy index, n: outer P L inner."""
    outer, P, L, inner = n[0], n[1], n[2], n[3]
    _gather(carray(p[0], (outer, P, inner)), carray(p[1], (outer, L, inner)), carray(as_int64(p[2]), (outer, L, inner)))
    return 0
