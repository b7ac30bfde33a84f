"""The weights of attention: softmax of scaled scores, row by row, without the keys that a mask hides."""

from cython.parallel cimport prange
from libc.math cimport INFINITY
from libc.stdint cimport uint8_t

from minidl.kernels.kernel cimport OK, PARALLEL, element, real, threads
from minidl.kernels.softmax cimport ROWS, WIDTH, Block, exp_block

from minidl.kernels.kernel import Kernel


cdef inline element *moved(element *mask, Py_ssize_t offset) noexcept nogil:
    """Where a mask goes on, if there is one."""
    return NULL if mask == NULL else mask + offset


cdef inline void scale_row(
    real *w, const uint8_t *shown, const real *bias, Py_ssize_t count, Py_ssize_t S, real scale
) noexcept nogil:
    """w = scale w + bias; -inf where not shown, where bias is -inf, and from `count` on."""
    cdef Py_ssize_t k
    cdef real y, hidden = -INFINITY
    if shown != NULL:
        for k in range(count):
            y = w[k] * scale
            w[k] = y if shown[k] else hidden
    elif bias != NULL:
        for k in range(count):
            y = w[k] * scale + bias[k]
            w[k] = y if bias[k] != hidden else hidden
    else:
        for k in range(count):
            w[k] = w[k] * scale
    for k in range(count, S):
        w[k] = hidden


cdef inline bint all_hidden(const uint8_t *shown, const real *bias, Py_ssize_t count) noexcept nogil:
    """Whether the mask of a row leaves no key."""
    cdef Py_ssize_t k
    for k in range(count):
        if (shown == NULL or shown[k]) and (bias == NULL or bias[k] != -INFINITY):
            return False
    return True


cdef void weights_block(
    real *w, uint8_t *shown, real *bias, Py_ssize_t step, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t S, bint causal,
    real scale,
) noexcept nogil:
    """Rows of one matrix from `first` on, where w and the mask begin; the mask's rows are `step` apart."""
    cdef Block block
    cdef real shift[WIDTH]
    cdef real total[WIDTH]
    cdef Py_ssize_t count[WIDTH]  # keys in front of those that causality hides
    cdef Py_ssize_t j, k
    block.width, block.stride_k = rows, 1
    for j in range(rows):
        count[j] = min(first + j + 1, S) if causal else S
        scale_row(w + j * S, moved(shown, j * step), moved(bias, j * step), count[j], S, scale)
    exp_block(w, shift, total, w, &block, S)
    for j in range(rows):
        if shift[j] == -INFINITY and all_hidden(moved(shown, j * step), moved(bias, j * step), count[j]):
            for k in range(j * S, j * S + S):
                w[k] = 0
        else:
            total[j] = 1 / total[j]
            for k in range(j * S, j * S + S):
                w[k] = w[k] * total[j]


cdef inline void weights_unit(real **p, const Py_ssize_t *n, real scale, Py_ssize_t i, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t L = n[1], S = n[2], step = n[4], D = n[5], blocks = (L + rows - 1) // rows, d
    cdef Py_ssize_t first = i % blocks * rows, matrix = i // blocks, offset = first * step
    cdef const Py_ssize_t *size = n + 6
    cdef const Py_ssize_t *stride = size + D
    cdef real *w = p[0] + (matrix * L + first) * S
    for d in range(D - 1, -1, -1):
        offset += matrix % size[d] * stride[d]
        matrix //= size[d]
    weights_block(w, moved(<uint8_t *>p[1], offset), moved(p[2], offset), step, first, min(rows, L - first), S, n[3],
                  scale)


cdef int _attention_weights(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """p: w (scores before), bool mask or NULL, real mask or NULL; n: batch, L, S, causal, then of the mask: elements
    from row to row, D, the sizes of the D dimensions of the batch, and elements from step to step in them; a: scale."""
    cdef Py_ssize_t rows = max(1, min(<Py_ssize_t>WIDTH, ROWS // max(n[2], 1)))
    cdef Py_ssize_t i, units = n[0] * ((n[1] + rows - 1) // rows)
    if n[0] * n[1] * n[2] < PARALLEL // 2 or threads() == 1:
        for i in range(units):
            weights_unit(p, n, <real>a[0], i, rows)
    else:
        for i in prange(units, schedule="static", num_threads=threads()):
            weights_unit(p, n, <real>a[0], i, rows)
    return OK


attention_weights = Kernel("attention_weights", {
    "float32": <size_t>_attention_weights[float], "float64": <size_t>_attention_weights[double],
})
