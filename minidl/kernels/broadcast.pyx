"""Broadcasting: one driver that cuts buffers of any item size into plain rows for any elementwise kernel."""

from cython.parallel cimport prange
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from minidl.kernels.kernel cimport OK, PARALLEL, kernel_t, threads

cdef enum:
    BUFFERS = 4

ctypedef fused word:
    uint8_t
    uint32_t
    uint64_t


cdef inline void repeat(word *y, word value, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        y[i] = value


cdef void run_tile(
    kernel_t kernel, void **p, const Py_ssize_t *n, const double *a, Py_ssize_t row, Py_ssize_t start
) noexcept nogil:
    """Run `kernel` on up to TILE elements of one row of the output.

    A buffer that repeats one element along the row is written out once, so that each kernel needs one loop only.
    """
    cdef uint64_t repeated[BUFFERS][CHUNK]
    cdef char *part[BUFFERS]
    cdef Py_ssize_t move[BUFFERS]  # bytes from one chunk to the next
    cdef Py_ssize_t plain[2]
    cdef Py_ssize_t buffers = n[1], rank = n[2]
    cdef const Py_ssize_t *shape = n + 3
    cdef const Py_ssize_t *strides = shape + rank
    cdef Py_ssize_t size = min(shape[rank - 1] - start, TILE)
    cdef Py_ssize_t chunk = size
    cdef Py_ssize_t b, d, rest, offset, itemsize
    for b in range(buffers):
        itemsize = strides[0]
        strides = strides + 1
        offset = start * strides[rank - 1]
        rest = row
        for d in range(rank - 2, 0, -1):
            offset = offset + rest % shape[d] * strides[d]
            rest = rest // shape[d]
        if rank > 1:
            offset = offset + rest * strides[0]
        part[b] = <char *> p[b] + offset * itemsize
        move[b] = itemsize * CHUNK
        if strides[rank - 1] == 0:
            chunk = min(size, CHUNK)
            move[b] = 0
            if itemsize == 8:
                repeat(<uint64_t *> repeated[b], (<uint64_t *> part[b])[0], chunk)
            elif itemsize == 4:
                repeat(<uint32_t *> repeated[b], (<uint32_t *> part[b])[0], chunk)
            else:
                repeat(<uint8_t *> repeated[b], (<uint8_t *> part[b])[0], chunk)
            part[b] = <char *> repeated[b]
        strides = strides + rank
    plain[1] = 0
    while size > 0:
        plain[0] = min(size, chunk)
        kernel(<void **> part, plain, a)
        for b in range(buffers):
            part[b] = part[b] + move[b]
        size = size - chunk


cdef int broadcast(kernel_t kernel, void **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """Run `kernel` on every row of the output that the plan `n` describes."""
    cdef Py_ssize_t inner = n[2 + n[2]]
    cdef Py_ssize_t per_row, rows, row, tile
    if n[0] == 0:
        return OK
    rows = n[0] // inner
    per_row = (inner + TILE - 1) // TILE
    if n[0] < PARALLEL or threads() == 1:
        for row in range(rows):
            for tile in range(per_row):
                run_tile(kernel, p, n, a, row, tile * TILE)
    else:
        for tile in prange(rows * per_row, schedule="static", num_threads=threads()):
            run_tile(kernel, p, n, a, tile // per_row, tile % per_row * TILE)
    return OK
