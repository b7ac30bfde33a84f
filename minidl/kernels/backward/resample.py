"""Backward passes of `minidl.kernels.resample`: every gradient goes back to where its number came from.

Threads split the planes, so the order of every sum is fixed.
"""

from numba import carray, prange

from minidl.kernels.backward.compiler import as_int64, body, elementwise, kernel, serial


@body
def _remap_plane(dx, dy, rows, columns, low, high):
    dx[:] = 0
    for i in range(rows.size):
        row, total = dy[i], dx[rows[i]]
        for j in range(low):
            total[columns[j]] += row[j]
        if low < high:
            inside = total[columns[low] : columns[low] + high - low]
            for j in range(high - low):
                inside[j] += row[low + j]
        for j in range(high, columns.size):
            total[columns[j]] += row[j]


@elementwise
def _remap(dx, dy, rows, columns, low, high):
    if serial(dy.size):
        for p in range(dx.shape[0]):
            _remap_plane(dx[p], dy[p], rows, columns, low, high)
    else:
        for p in prange(dx.shape[0]):
            _remap_plane(dx[p], dy[p], rows, columns, low, high)


@kernel
def remap(p, n, a):
    """dx[p, r, c] = sum of dy[p, i, j] over rows[i] = r, columns[j] = c.

    p: dx dy rows columns, n: P h w H W low high.
    """
    P, h, w, H, W = n[0], n[1], n[2], n[3], n[4]
    rows, columns = carray(as_int64(p[2]), h), carray(as_int64(p[3]), w)
    _remap(carray(p[0], (P, H, W)), carray(p[1], (P, h, w)), rows, columns, n[5], n[6])
    return 0


@body
def _bilinear_plane(dx, sums, dy, top, bottom, down, left, across):
    one = dx.dtype.type(1)
    dx[:] = 0
    for i in range(top.size):
        row, j, carry = dy[i], 0, dx.dtype.type(0)
        for c in range(sums.size):  # in registers: left ascends, and what weighs in to the right of c belongs to c + 1
            total, carry = carry, dx.dtype.type(0)
            while j < left.size and left[j] == c:
                total += (one - across[j]) * row[j]
                carry += across[j] * row[j]
                j += 1
            sums[c] = total
        upper = dx[top[i]]
        if top[i] == bottom[i]:
            for c in range(sums.size):
                upper[c] += sums[c]
        else:
            lower, weight, rest = dx[bottom[i]], down[i], one - down[i]
            for c in range(sums.size):
                upper[c] += rest * sums[c]
                lower[c] += weight * sums[c]


@elementwise
def _bilinear(dx, sums, dy, top, bottom, down, left, across):
    if serial(2 * dy.size):
        for p in range(dx.shape[0]):
            _bilinear_plane(dx[p], sums[p], dy[p], top, bottom, down, left, across)
    else:
        for p in prange(dx.shape[0]):
            _bilinear_plane(dx[p], sums[p], dy[p], top, bottom, down, left, across)


@kernel
def bilinear(p, n, a):
    """dx = the sums over dy by the weights of the forward pass, first along rows, in sums[P, W], then along columns.

    p: dx sums dy top bottom down left right across, n: P h w H W.
    """
    P, h, w, H, W = n[0], n[1], n[2], n[3], n[4]
    top, bottom, down = carray(as_int64(p[2]), h), carray(as_int64(p[3]), h), carray(p[4], h)
    left, across = carray(as_int64(p[5]), w), carray(p[7], w)
    dx, dy, sums = carray(p[0], (P, H, W)), carray(p[1], (P, h, w)), carray(p[8], (P, W))
    _bilinear(dx, sums, dy, top, bottom, down, left, across)
    return 0
