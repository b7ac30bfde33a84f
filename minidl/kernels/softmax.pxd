# The part that softmax, log_softmax and cross_entropy share: exp(x - max) and its sum, block by block.
#
# x is [outer, K, inner]. A block is `width` <= WIDTH positions with their K classes: whole rows where inner is 1 (short
# rows share one vectorised loop of exponentials), neighbouring columns elsewhere. Blocks depend on the sizes alone.

from libc.math cimport INFINITY

from minidl.kernels cimport vmath
from minidl.kernels.kernel cimport real

cdef enum:
    WIDTH = 64
    ROWS = 4096  # elements in a block of rows, if a row is not longer: x and y stay in the L1 cache
    LANES = 16  # partial results of a long reduction: independent, so that they fill a vector

ctypedef struct Grid:
    Py_ssize_t K, inner, width, per_outer, positions, count

ctypedef struct Block:
    Py_ssize_t first, offset, width  # first position, its first element, number of positions
    Py_ssize_t stride_k, stride_j  # elements from a class, from a position, to the next


cdef inline Grid grid_of(Py_ssize_t outer, Py_ssize_t K, Py_ssize_t inner) noexcept nogil:
    cdef Grid grid
    grid.K, grid.inner, grid.positions = K, inner, outer * inner
    if inner == 1:
        grid.width = max(1, min(<Py_ssize_t>WIDTH, ROWS // max(K, 1)))
        grid.per_outer = (outer + grid.width - 1) // grid.width
        grid.count = grid.per_outer
    else:
        grid.width = WIDTH
        grid.per_outer = (inner + WIDTH - 1) // WIDTH
        grid.count = outer * grid.per_outer
    return grid


cdef inline Block block_of(Grid *grid, Py_ssize_t i) noexcept nogil:
    cdef Block block
    cdef Py_ssize_t o, column
    if grid.inner == 1:
        block.first = i * grid.width
        block.offset = block.first * grid.K
        block.width = min(grid.width, grid.positions - block.first)
        block.stride_k, block.stride_j = 1, grid.K
    else:
        o, column = i // grid.per_outer, i % grid.per_outer * grid.width
        block.first = o * grid.inner + column
        block.offset = o * grid.K * grid.inner + column
        block.width = min(grid.width, grid.inner - column)
        block.stride_k, block.stride_j = grid.inner, 1
    return block


cdef inline real row_max(const real *x, Py_ssize_t K) noexcept nogil:
    """Maximum of x[K]; a NaN is passed over, as x - max shows it anyway."""
    cdef real lane[LANES]
    cdef real top = -INFINITY
    cdef Py_ssize_t i, k, done = 0
    if K >= 2 * LANES:
        for i in range(LANES):
            lane[i] = x[i]
        for k in range(1, K // LANES):
            for i in range(LANES):
                lane[i] = x[k * LANES + i] if x[k * LANES + i] > lane[i] else lane[i]
        for i in range(LANES):
            top = lane[i] if lane[i] > top else top
        done = K // LANES * LANES
    for k in range(done, K):
        top = x[k] if x[k] > top else top
    return top


cdef inline real row_sum(const real *x, Py_ssize_t K) noexcept nogil:
    """Sum of x[K], in an order that depends on K alone."""
    cdef real lane[LANES]
    cdef real total = 0
    cdef Py_ssize_t i, k, done = 0
    if K >= 2 * LANES:
        for i in range(LANES):
            lane[i] = x[i]
        for k in range(1, K // LANES):
            for i in range(LANES):
                lane[i] = lane[i] + x[k * LANES + i]
        for i in range(LANES):
            total = total + lane[i]
        done = K // LANES * LANES
    for k in range(done, K):
        total = total + x[k]
    return total


cdef inline void exp_block(
    real *e, real *shift, real *total, const real *x, Block *block, Py_ssize_t K
) noexcept nogil:
    """e = exp(x - shift), shift = max of x over the classes, total = sum of e over the classes; e, x: of the block."""
    cdef Py_ssize_t j, k, width = block.width, inner = block.stride_k
    cdef real top
    if block.stride_k == 1:
        for j in range(width):
            top = row_max(x + j * K, K)
            shift[j] = top
            for k in range(j * K, j * K + K):
                e[k] = x[k] - top
        for k in range(width * K):
            e[k] = vmath.exp(e[k])
        for j in range(width):
            total[j] = row_sum(e + j * K, K)
    else:
        for j in range(width):
            shift[j] = -INFINITY
            total[j] = 0
        for k in range(K):
            for j in range(width):
                shift[j] = x[k * inner + j] if x[k * inner + j] > shift[j] else shift[j]
        for k in range(K):
            for j in range(width):
                e[k * inner + j] = vmath.exp(x[k * inner + j] - shift[j])
                total[j] = total[j] + e[k * inner + j]
