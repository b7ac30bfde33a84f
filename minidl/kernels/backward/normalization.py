"""Backward passes of the normalisations; stats[4, S] are mean, rest, rstd and var of the S sets, as forward left them.

With g = dz weight and means over the set: dx = rstd (g - mean(g) - xhat mean(g xhat)), xhat = (x - mean - rest) rstd.
In evaluation the statistics are constants, and dx = rstd g. dz is dy, where a fused relu let it through.
"""

from numba import carray, prange

from minidl.kernels.backward.compiler import as_double, kernel, loops, piece, serial

COLUMNS = 64  # columns of one thread


# Sets of contiguous planes


@piece
def _set_of_planes(dx, sums, dy, x, y, weight, stats, s, step_s, step_k, K, relu, given):
    C, inner = weight.size, x.shape[1]
    real = x.dtype.type
    mean, rest, rstd = stats[0, s], stats[1, s], stats[2, s]
    total, product = 0.0, 0.0
    for k in range(K):
        plane = s * step_s + k * step_k
        plain, centred = real(0), real(0)
        if relu:
            for i in range(inner):
                dz = dy[plane, i] * (y[plane, i] > 0)
                plain += dz
                centred += dz * (x[plane, i] - mean)
        else:
            for i in range(inner):
                plain += dy[plane, i]
                centred += dy[plane, i] * (x[plane, i] - mean)
        sums[plane, 0] = plain
        sums[plane, 1] = rstd * (centred - rest * plain)
        total += weight[plane % C] * sums[plane, 0]
        product += weight[plane % C] * sums[plane, 1]
    if dx.size == 0:
        return
    slope, level = real(0), real(0)
    if not given:
        slope = real(-rstd * rstd * product / (K * inner))
        level = real(-rstd * total / (K * inner)) - slope * rest
    for k in range(K):
        plane = s * step_s + k * step_k
        scale = rstd * weight[plane % C]
        if relu:
            for i in range(inner):
                dz = dy[plane, i] * (y[plane, i] > 0)
                dx[plane, i] = scale * dz + (slope * (x[plane, i] - mean) + level)
        else:
            for i in range(inner):
                dx[plane, i] = scale * dy[plane, i] + (slope * (x[plane, i] - mean) + level)


@loops
def _planes(dx, dw, db, sums, dy, x, y, weight, stats, step_s, step_k, K, relu, given):
    S, C = stats.shape[1], weight.size
    if serial(x.size):
        for s in range(S):
            _set_of_planes(dx, sums, dy, x, y, weight, stats, s, step_s, step_k, K, relu, given)
    else:
        for s in prange(S):
            _set_of_planes(dx, sums, dy, x, y, weight, stats, s, step_s, step_k, K, relu, given)
    for c in range(C):
        total, product = 0.0, 0.0
        for plane in range(c, sums.shape[0], C):
            total += sums[plane, 0]
            product += sums[plane, 1]
        db[c] = total
        dw[c] = product


@kernel
def planes(p, n, a):
    """p: dx, dw, db, sums[planes, 2], dy, x, y, weight, stats; n: S K inner step_s step_k C relu given, whether dx."""
    S, K, inner, C = n[0], n[1], n[2], n[5]
    shape = (S * K, inner)
    _planes(
        carray(p[0], (S * K if n[8] else 0, inner)),
        carray(p[1], C),
        carray(p[2], C),
        carray(p[3], (S * K, 2)),
        carray(p[4], shape),
        carray(p[5], shape),
        carray(p[6], shape),
        carray(p[7], C),
        carray(p[8], (4, S)),
        n[3],
        n[4],
        K,
        n[6] != 0,
        n[7] != 0,
    )
    return 0


# Columns


@piece
def _block_of_columns(dx, dw, db, sums, factors, dy, x, y, weight, stats, low, high, relu, given):
    N = x.shape[0]
    for j in range(low, high):
        sums[0, j] = 0
        sums[1, j] = 0
    for i in range(N):
        # one sum per loop: with two, LLVM has too many pairs of arrays to tell apart, and makes no vectors
        if relu:
            for j in range(low, high):
                sums[0, j] += dy[i, j] * (y[i, j] > 0)
            for j in range(low, high):
                sums[1, j] += dy[i, j] * (y[i, j] > 0) * (x[i, j] - stats[0, j])
        else:
            for j in range(low, high):
                sums[0, j] += dy[i, j]
            for j in range(low, high):
                sums[1, j] += dy[i, j] * (x[i, j] - stats[0, j])
    for j in range(low, high):
        rstd = stats[2, j]
        product = rstd * (sums[1, j] - stats[1, j] * sums[0, j])
        scale = rstd * weight[j]
        slope = 0.0 if given else -scale * rstd * product / N
        db[j] = sums[0, j]
        dw[j] = product
        factors[0, j] = scale
        factors[1, j] = slope
        factors[2, j] = 0.0 if given else -scale * sums[0, j] / N - slope * stats[1, j]
    if dx.size == 0:
        return
    for i in range(N):
        if relu:
            for j in range(low, high):
                dz = dy[i, j] * (y[i, j] > 0)
                dx[i, j] = factors[0, j] * dz + (factors[1, j] * (x[i, j] - stats[0, j]) + factors[2, j])
        else:
            for j in range(low, high):
                dx[i, j] = factors[0, j] * dy[i, j] + (factors[1, j] * (x[i, j] - stats[0, j]) + factors[2, j])


@loops
def _columns(dx, dw, db, sums, factors, dy, x, y, weight, stats, relu, given):
    C = x.shape[1]
    if serial(x.size):
        _block_of_columns(dx, dw, db, sums, factors, dy, x, y, weight, stats, 0, C, relu, given)
    else:
        for block in prange((C + COLUMNS - 1) // COLUMNS):
            low = block * COLUMNS
            high = min(low + COLUMNS, C)
            _block_of_columns(dx, dw, db, sums, factors, dy, x, y, weight, stats, low, high, relu, given)


@kernel
def columns(p, n, a):
    """p: dx, dw, db, sums[2, C] (double), factors[3, C], dy, x, y, weight, stats; n: N C relu given, whether dx."""
    N, C = n[0], n[1]
    _columns(
        carray(p[0], (N if n[4] else 0, C)),
        carray(p[1], C),
        carray(p[2], C),
        carray(as_double(p[3]), (2, C)),
        carray(p[4], (3, C)),
        carray(p[5], (N, C)),
        carray(p[6], (N, C)),
        carray(p[7], (N, C)),
        carray(p[8], C),
        carray(p[9], (4, C)),
        n[2] != 0,
        n[3] != 0,
    )
    return 0


# Rows


@piece
def _row(dx, dy, x, weight, stats, r):
    G, L = weight.shape
    g = r % G
    real = x.dtype.type
    mean, rest, rstd = stats[0, r], stats[1, r], stats[2, r]
    total, product = real(0), real(0)
    for i in range(L):
        dz = dy[r, i] * weight[g, i]
        total += dz
        product += dz * (x[r, i] - mean)
    slope = real(-rstd * rstd * rstd * (product - rest * total) / L)
    level = real(-rstd * total / L) - slope * rest
    for i in range(L):
        dx[r, i] = rstd * (dy[r, i] * weight[g, i]) + (slope * (x[r, i] - mean) + level)


@piece
def _weight_rows(sums, dy, x, stats, g, G, low, high):
    for j in range(low, high):
        sums[0, g, j] = 0
        sums[1, g, j] = 0
    for r in range(g, x.shape[0], G):
        mean, rest, rstd = stats[0, r], stats[1, r], stats[2, r]
        for j in range(low, high):
            sums[0, g, j] += dy[r, j]
        for j in range(low, high):
            sums[1, g, j] += dy[r, j] * ((x[r, j] - mean - rest) * rstd)


@loops
def _rows(dx, sums, dy, x, weight, stats):
    R, L = x.shape
    G = weight.shape[0]
    blocks = (L + COLUMNS - 1) // COLUMNS
    if serial(x.size):
        for r in range(dx.shape[0]):
            _row(dx, dy, x, weight, stats, r)
        for g in range(sums.shape[1]):
            _weight_rows(sums, dy, x, stats, g, G, 0, L)
    else:
        for r in prange(dx.shape[0]):
            _row(dx, dy, x, weight, stats, r)
        for unit in prange(sums.shape[1] * blocks):
            low = unit % blocks * COLUMNS
            _weight_rows(sums, dy, x, stats, unit // blocks, G, low, min(low + COLUMNS, L))


@kernel
def rows(p, n, a):
    """p: dx, dw, db, sums[2, G, L] (double), dy, x, weight, stats; n: R L G, whether dx, whether dw and db."""
    R, L, G = n[0], n[1], n[2]
    sums = carray(as_double(p[3]), (2, G if n[4] else 0, L))
    _rows(
        carray(p[0], (R if n[3] else 0, L)),
        sums,
        carray(p[4], (R, L)),
        carray(p[5], (R, L)),
        carray(p[6], (G, L)),
        carray(p[7], (4, R)),
    )
    dw, db = carray(p[1], (G, L)), carray(p[2], (G, L))
    for g in range(sums.shape[1]):
        for j in range(L):
            db[g, j] = sums[0, g, j]
            dw[g, j] = sums[1, g, j]
    return 0
