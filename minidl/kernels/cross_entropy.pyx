"""Losses over classes: cross entropy, fused with log_softmax, and the negative log-likelihood.

x is [outer, C, inner], a target of class indices [outer, inner]. `losses` holds one loss per position and is the
result itself where nothing is reduced; else y is their sum (divided by the norm), added in order in double.
"""

from cython.parallel cimport prange
from libc.math cimport fabs
from libc.stdint cimport int64_t

from minidl.kernels cimport vmath
from minidl.kernels.kernel cimport BAD_INDEX, OK, PARALLEL, real, threads
from minidl.kernels.softmax cimport WIDTH, Block, Grid, block_of, exp_block, grid_of

from minidl.kernels.kernel import Kernel


cdef inline int norm_of(
    double *norm, const int64_t *target, const real *weight, Py_ssize_t count, Py_ssize_t C, int64_t ignored
) noexcept nogil:
    """Sum of the targets' weights; BAD_INDEX if a target is no class."""
    cdef Py_ssize_t i
    norm[0] = 0
    for i in range(count):
        if target[i] == ignored:
            continue
        if target[i] < 0 or target[i] >= C:
            return BAD_INDEX
        norm[0] += 1 if weight == NULL else weight[target[i]]
    return OK


cdef inline real sum_of(const real *losses, Py_ssize_t count, double norm) noexcept nogil:
    cdef double total = 0
    cdef Py_ssize_t i
    for i in range(count):
        total += losses[i]
    return <real>(total / norm)


cdef void cross_entropy_block(
    real *losses, real *e, real *pull, real *pick, const real *x, const int64_t *target, const real *weight,
    Grid *grid, int64_t ignored, double norm, Py_ssize_t i,
) noexcept nogil:
    cdef Block block = block_of(grid, i)
    cdef real shift[WIDTH]
    cdef real total[WIDTH]
    cdef real log_total[WIDTH]
    cdef real w, scale = <real>(1 / norm)
    cdef Py_ssize_t j, at
    x += block.offset
    exp_block(e + block.offset, shift, total, x, &block, grid.K)
    for j in range(block.width):
        log_total[j] = vmath.log(total[j])
    for j in range(block.width):
        at = block.first + j
        if target[at] == ignored:
            losses[at] = pull[at] = pick[at] = 0
            continue
        w = 1 if weight == NULL else weight[target[at]]
        losses[at] = w * (log_total[j] - (x[target[at] * block.stride_k + j * block.stride_j] - shift[j]))
        pick[at] = w * scale
        pull[at] = pick[at] / total[j]


cdef int _cross_entropy(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """p: losses, y or NULL, e = exp(x - max), pull, pick, x, target, weight or NULL; n: outer, C, inner, mean?; a: ignored.

    dx = (e pull - onehot pick) dy.
    """
    cdef Grid grid = grid_of(n[0], n[1], n[2])
    cdef int64_t *target = <int64_t *>p[6]
    cdef int64_t ignored = <int64_t>a[0]
    cdef double norm
    cdef Py_ssize_t i
    if norm_of(&norm, target, p[7], grid.positions, n[1], ignored):
        return BAD_INDEX
    if not n[3]:
        norm = 1
    if grid.positions * n[1] < PARALLEL // 2 or threads() == 1:
        for i in range(grid.count):
            cross_entropy_block(p[0], p[2], p[3], p[4], p[5], target, p[7], &grid, ignored, norm, i)
    else:
        for i in prange(grid.count, schedule="static", num_threads=threads()):
            cross_entropy_block(p[0], p[2], p[3], p[4], p[5], target, p[7], &grid, ignored, norm, i)
    if p[1] != NULL:
        p[1][0] = sum_of(p[0], grid.positions, norm)
    return OK


cdef int _nll(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """p: losses, y or NULL, pick, x, target, weight or NULL; n: outer, C, inner, mean?; a: ignored.

    dx = -onehot pick dy.
    """
    cdef Py_ssize_t i, count = n[0] * n[2]
    cdef int64_t *target = <int64_t *>p[4]
    cdef int64_t ignored = <int64_t>a[0]
    cdef double norm
    cdef real w
    if norm_of(&norm, target, p[5], count, n[1], ignored):
        return BAD_INDEX
    if not n[3]:
        norm = 1
    for i in range(count):
        if target[i] == ignored:
            p[0][i] = p[2][i] = 0
            continue
        w = 1 if p[5] == NULL else p[5][target[i]]
        p[0][i] = -w * p[3][(i // n[2] * n[1] + target[i]) * n[2] + i % n[2]]
        p[2][i] = <real>(w / norm)
    if p[1] != NULL:
        p[1][0] = sum_of(p[0], count, norm)
    return OK


# Targets that are a distribution over the classes: q, with weights, smoothing and the norm in it.

cdef int _smooth_labels(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """p: q, target, weight or NULL; n: outer, C, inner, mean?; a: ignored, smoothing.

    q = ((1 - smoothing) onehot + smoothing / C) weight / norm, 0 where the target is ignored.
    """
    cdef Py_ssize_t i, c, count = n[0] * n[2]
    cdef int64_t *target = <int64_t *>p[1]
    cdef int64_t ignored = <int64_t>a[0]
    cdef double norm, w
    cdef real *q
    if norm_of(&norm, target, p[2], count, n[1], ignored):
        return BAD_INDEX
    if not n[3]:
        norm = 1
    for i in range(count):
        q = p[0] + i // n[2] * n[1] * n[2] + i % n[2]
        for c in range(n[1]):
            w = (1. if p[2] == NULL else p[2][c]) / norm
            if target[i] == ignored:
                q[c * n[2]] = <real>(w * 0)  # NaN where all targets are ignored: the mean over nothing
            else:
                q[c * n[2]] = <real>(w * (a[1] / n[1] + (1 - a[1] if c == target[i] else 0.)))
    return OK


cdef int _smooth_probabilities(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """p: q, target, weight or NULL; n: outer, C, inner; a: norm, smoothing.

    q = ((1 - smoothing) target + smoothing / C) weight / norm.
    """
    cdef Py_ssize_t i, c
    cdef double w
    for i in range(n[0] * n[1] * n[2]):
        c = i // n[2] % n[1]
        w = (1. if p[2] == NULL else p[2][c]) / a[0]
        p[0][i] = <real>(w * (a[1] / n[1] + (1 - a[1]) * p[1][i]))
    return OK


cdef void soft_cross_entropy_block(
    real *losses, real *e, real *log_p, real *pull, const real *x, const real *q, Grid *grid, Py_ssize_t i
) noexcept nogil:
    cdef Block block = block_of(grid, i)
    cdef real shift[WIDTH]
    cdef real total[WIDTH]
    cdef real log_total, loss, mass, size
    cdef Py_ssize_t j, k, at
    x += block.offset
    q += block.offset
    log_p += block.offset
    exp_block(e + block.offset, shift, total, x, &block, grid.K)
    for j in range(block.width):
        log_total = vmath.log(total[j])
        mass = size = loss = 0
        for k in range(grid.K):
            at = k * block.stride_k + j * block.stride_j
            log_p[at] = (x[at] - shift[j]) - log_total
            mass += q[at]
            size += <real>fabs(q[at])
            loss -= q[at] * log_p[at]
        # an ignored position has q = 0: nothing counts there, not even an infinite logit
        losses[block.first + j] = loss if size != 0 else 0
        pull[block.first + j] = mass / total[j] if size != 0 else 0


cdef int _soft_cross_entropy(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """p: losses, y or NULL, e = exp(x - max), log_p, pull, x, q; n: outer, C, inner.

    losses = -sum of q log_p over the classes; dx = (e pull - q) dy.
    """
    cdef Grid grid = grid_of(n[0], n[1], n[2])
    cdef Py_ssize_t i
    if grid.positions * n[1] < PARALLEL // 2 or threads() == 1:
        for i in range(grid.count):
            soft_cross_entropy_block(p[0], p[2], p[3], p[4], p[5], p[6], &grid, i)
    else:
        for i in prange(grid.count, schedule="static", num_threads=threads()):
            soft_cross_entropy_block(p[0], p[2], p[3], p[4], p[5], p[6], &grid, i)
    if p[1] != NULL:
        p[1][0] = sum_of(p[0], grid.positions, 1)
    return OK


cross_entropy = Kernel("cross_entropy", {
    "float32": <size_t>_cross_entropy[float], "float64": <size_t>_cross_entropy[double],
})
nll = Kernel("nll", {"float32": <size_t>_nll[float], "float64": <size_t>_nll[double]})
smooth_labels = Kernel("smooth_labels", {
    "float32": <size_t>_smooth_labels[float], "float64": <size_t>_smooth_labels[double],
})
smooth_probabilities = Kernel("smooth_probabilities", {
    "float32": <size_t>_smooth_probabilities[float], "float64": <size_t>_smooth_probabilities[double],
})
soft_cross_entropy = Kernel("soft_cross_entropy", {
    "float32": <size_t>_soft_cross_entropy[float], "float64": <size_t>_soft_cross_entropy[double],
})
