"""Backward passes of the losses. `each` is 1 where dy holds a number per position (nothing was reduced), else 0."""

from numba import carray, prange

from minidl.kernels.backward.compiler import as_int64, body, elementwise, kernel, serial


@body
def _cross_entropy_at(dx, dy, e, pull, pick, target, each, o):
    C, inner = e.shape[1:]
    if inner == 1:
        scale = pull[o, 0] * dy[each * o]
        for c in range(C):
            dx[o, c, 0] = e[o, c, 0] * scale if pull[o, 0] != 0 else scale  # an ignored position may hold NaN
    else:
        for c in range(C):
            for i in range(inner):
                scale = pull[o, i] * dy[each * (o * inner + i)]
                dx[o, c, i] = e[o, c, i] * scale if pull[o, i] != 0 else scale
    for i in range(inner):
        if pick[o, i] != 0:
            dx[o, target[o, i], i] -= pick[o, i] * dy[each * (o * inner + i)]


@elementwise
def _cross_entropy(dx, dy, e, pull, pick, target, each):
    if serial(e.size):
        for o in range(e.shape[0]):
            _cross_entropy_at(dx, dy, e, pull, pick, target, each, o)
    else:
        for o in prange(e.shape[0]):
            _cross_entropy_at(dx, dy, e, pull, pick, target, each, o)


@kernel
def cross_entropy(p, n, a):
    """dx = (e pull - onehot pick) dy; p: dx dy e pull pick target, n: outer C inner each."""
    shape, positions, each = (n[0], n[1], n[2]), (n[0], n[2]), n[3]
    dx, dy, e = carray(p[0], shape), carray(p[1], 1 + each * (n[0] * n[2] - 1)), carray(p[2], shape)
    target = carray(as_int64(p[5]), positions)
    _cross_entropy(dx, dy, e, carray(p[3], positions), carray(p[4], positions), target, each)
    return 0


@body
def _nll(dx, dy, pick, target, each):
    outer, C, inner = dx.shape
    for o in range(outer):
        for c in range(C):
            for i in range(inner):
                dx[o, c, i] = 0
        for i in range(inner):
            if pick[o, i] != 0:
                dx[o, target[o, i], i] = -pick[o, i] * dy[each * (o * inner + i)]


@kernel
def nll(p, n, a):
    """dx = -onehot pick dy; p: dx dy pick target, n: outer C inner each."""
    positions, each = (n[0], n[2]), n[3]
    dx, dy = carray(p[0], (n[0], n[1], n[2])), carray(p[1], 1 + each * (n[0] * n[2] - 1))
    _nll(dx, dy, carray(p[2], positions), carray(as_int64(p[3]), positions), each)
    return 0


@body
def _soft_cross_entropy_at(dx, dy, e, pull, q, each, o):
    C, inner = e.shape[1:]
    for c in range(C):
        for i in range(inner):
            grown = e[o, c, i] * pull[o, i] if pull[o, i] != 0 else pull[o, i]
            dx[o, c, i] = (grown - q[o, c, i]) * dy[each * (o * inner + i)]


@elementwise
def _soft_cross_entropy(dx, dy, e, pull, q, each):
    if serial(e.size):
        for o in range(e.shape[0]):
            _soft_cross_entropy_at(dx, dy, e, pull, q, each, o)
    else:
        for o in prange(e.shape[0]):
            _soft_cross_entropy_at(dx, dy, e, pull, q, each, o)


@kernel
def soft_cross_entropy(p, n, a):
    """dx = (e pull - q) dy; p: dx dy e pull q, n: outer C inner each."""
    shape, each = (n[0], n[1], n[2]), n[3]
    dx, dy, e = carray(p[0], shape), carray(p[1], 1 + each * (n[0] * n[2] - 1)), carray(p[2], shape)
    _soft_cross_entropy(dx, dy, e, carray(p[3], (n[0], n[2])), carray(p[4], shape), each)
    return 0


@body
def _soft_target(dt, dy, log_p, weight, scale, each):
    outer, C, inner = dt.shape
    for o in range(outer):
        for c in range(C):
            for i in range(inner):
                dt[o, c, i] = log_p[o, c, i] * weight[c] * (scale * dy[each * (o * inner + i)])


@kernel
def soft_target(p, n, a):
    """dt = log_p weight scale dy; p: dt dy log_p weight, n: outer C inner each, a: scale."""
    shape, each = (n[0], n[1], n[2]), n[3]
    dt, dy = carray(p[0], shape), carray(p[1], 1 + each * (n[0] * n[2] - 1))
    _soft_target(dt, dy, carray(p[2], shape), carray(p[3], n[1]), a[0], each)
    return 0


@elementwise
def _scaled(dx, dy, d, scale, each):
    if serial(d.size):
        for i in range(d.size):
            dx[i] = d[i] * (dy[each * i] * scale)
    else:
        for i in prange(d.size):
            dx[i] = d[i] * (dy[each * i] * scale)


@kernel
def scaled(p, n, a):
    """dx = d dy scale; p: dx dy d, n: N each, a: scale."""
    N, each = n[0], n[1]
    dx = carray(p[0], N)
    _scaled(dx, carray(p[1], 1 + each * (N - 1)), carray(p[2], N), dx.dtype.type(a[0]), each)
    return 0
