"""softmax and log_softmax over the middle dimension of [outer, K, inner]."""

from cython.parallel cimport prange

from minidl.kernels cimport vmath
from minidl.kernels.kernel cimport OK, PARALLEL, real, threads
from minidl.kernels.softmax cimport WIDTH, Block, Grid, block_of, exp_block, grid_of

from minidl.kernels.kernel import Kernel


cdef void softmax_block(real *y, const real *x, Grid *grid, Py_ssize_t i) noexcept nogil:
    cdef Block block = block_of(grid, i)
    cdef real shift[WIDTH]
    cdef real total[WIDTH]
    cdef Py_ssize_t j, k
    y += block.offset
    exp_block(y, shift, total, x + block.offset, &block, grid.K)
    for j in range(block.width):
        total[j] = 1 / total[j]
    if block.stride_k == 1:
        for j in range(block.width):
            for k in range(j * grid.K, j * grid.K + grid.K):
                y[k] = y[k] * total[j]
    else:
        for k in range(grid.K):
            for j in range(block.width):
                y[k * grid.inner + j] = y[k * grid.inner + j] * total[j]


cdef void log_softmax_block(real *y, real *s, const real *x, Grid *grid, Py_ssize_t i) noexcept nogil:
    cdef Block block = block_of(grid, i)
    cdef real shift[WIDTH]
    cdef real total[WIDTH]
    cdef real log_total[WIDTH]
    cdef Py_ssize_t j, k
    y += block.offset
    s += block.offset
    x += block.offset
    exp_block(s, shift, total, x, &block, grid.K)
    for j in range(block.width):
        log_total[j] = vmath.log(total[j])
        total[j] = 1 / total[j]
    if block.stride_k == 1:
        for j in range(block.width):
            for k in range(j * grid.K, j * grid.K + grid.K):
                y[k] = (x[k] - shift[j]) - log_total[j]
                s[k] = s[k] * total[j]
    else:
        for k in range(grid.K):
            for j in range(block.width):
                y[k * grid.inner + j] = (x[k * grid.inner + j] - shift[j]) - log_total[j]
                s[k * grid.inner + j] = s[k * grid.inner + j] * total[j]


cdef int _softmax(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """p: y, x; n: outer, K, inner."""
    cdef Grid grid = grid_of(n[0], n[1], n[2])
    cdef Py_ssize_t i
    if n[0] * n[1] * n[2] < PARALLEL // 2 or threads() == 1:
        for i in range(grid.count):
            softmax_block(p[0], p[1], &grid, i)
    else:
        for i in prange(grid.count, schedule="static", num_threads=threads()):
            softmax_block(p[0], p[1], &grid, i)
    return OK


cdef int _log_softmax(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """p: y, softmax, x; n: outer, K, inner."""
    cdef Grid grid = grid_of(n[0], n[1], n[2])
    cdef Py_ssize_t i
    if n[0] * n[1] * n[2] < PARALLEL // 2 or threads() == 1:
        for i in range(grid.count):
            log_softmax_block(p[0], p[1], p[2], &grid, i)
    else:
        for i in prange(grid.count, schedule="static", num_threads=threads()):
            log_softmax_block(p[0], p[1], p[2], &grid, i)
    return OK


softmax = Kernel("softmax", {"float32": <size_t>_softmax[float], "float64": <size_t>_softmax[double]})
log_softmax = Kernel("log_softmax", {"float32": <size_t>_log_softmax[float], "float64": <size_t>_log_softmax[double]})
