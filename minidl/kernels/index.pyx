"""Kernels that move numbers: strided copies, gathers, masks, padding of sequences, one-hot rows."""

from cython.parallel cimport prange
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy, memset

from minidl.kernels.kernel cimport BAD_INDEX, OK, PARALLEL, element, threads

from minidl.kernels.kernel import Kernel

# A tile of this many rows and columns keeps the cache lines that a transposition touches in the L1 cache.
cdef enum:
    ROWS = 32
    COLUMNS = 16
    PARTS = 16  # that one row of indices is cut into, for the threads


# Strided copy ----------------------------------------------------------------------------------------------------

cdef inline void copy_tile(
    element *y, const element *x, Py_ssize_t M, Py_ssize_t N, Py_ssize_t y_row, Py_ssize_t y_step, Py_ssize_t x_row,
    Py_ssize_t x_step,
) noexcept nogil:
    cdef Py_ssize_t i, j, part, low
    if y_step == 1 and x_step == 1:
        for i in range(M):
            memcpy(y + i * y_row, x + i * x_row, N * sizeof(element))
        return
    if y_step == 1 and x_step == 0:
        for i in range(M):
            for j in range(N):
                y[i * y_row + j] = x[i * x_row]
        return
    for part in range((N + COLUMNS - 1) // COLUMNS):
        low = part * COLUMNS
        for i in range(M):
            for j in range(low, min(low + <Py_ssize_t>COLUMNS, N)):
                y[i * y_row + j * y_step] = x[i * x_row + j * x_step]


cdef inline void copy_rows(
    element *y, const element *x, Py_ssize_t block, Py_ssize_t D, const Py_ssize_t *size, const Py_ssize_t *y_stride,
    const Py_ssize_t *x_stride,
) noexcept nogil:
    """One block of rows of the matrices that the last two of the D dimensions span."""
    cdef Py_ssize_t d, M = size[D - 2], blocks = (M + ROWS - 1) // ROWS
    cdef Py_ssize_t row = block % blocks * ROWS, matrix = block // blocks
    y += row * y_stride[D - 2]
    x += row * x_stride[D - 2]
    for d in range(D - 3, -1, -1):
        y += matrix % size[d] * y_stride[d]
        x += matrix % size[d] * x_stride[d]
        matrix //= size[d]
    copy_tile(y, x, min(<Py_ssize_t>ROWS, M - row), size[D - 1], y_stride[D - 2], y_stride[D - 1], x_stride[D - 2],
              x_stride[D - 1])


cdef int _strided_copy(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[offset + i . stride] = x[offset + i . stride] for all i in D >= 2 dimensions; n: D, offset of y, offset of x,
    # D sizes, D strides of y, D strides of x
    cdef Py_ssize_t i, D = n[0], blocks = (n[D + 1] + ROWS - 1) // ROWS, total = n[D + 1] * n[D + 2]
    for i in range(D - 2):
        blocks *= n[3 + i]
        total *= n[3 + i]
    for i in prange(blocks, schedule="static", num_threads=threads(), use_threads_if=total >= PARALLEL):
        copy_rows(p[0] + n[1], p[1] + n[2], i, D, n + 3, n + 3 + D, n + 3 + 2 * D)
    return OK


# Gathers ---------------------------------------------------------------------------------------------------------

cdef int _linear_index(int64_t **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # linear[B] = sum over d of index_d[B] * stride_d for D indices, which may be negative where wrap;
    # n: B, D, wrap, D sizes, D strides. BAD_INDEX, and nothing written, if one is out of range.
    cdef Py_ssize_t i, d, B = n[0], D = n[1], low
    cdef const Py_ssize_t *size = n + 3
    cdef const Py_ssize_t *stride = size + D
    cdef int64_t value
    for d in range(D):
        low = -size[d] if n[2] else 0
        for i in range(B):
            if p[1 + d][i] < low or p[1 + d][i] >= size[d]:
                return BAD_INDEX
    for i in range(B):
        p[0][i] = 0
    for d in range(D):
        for i in range(B):
            value = p[1 + d][i]
            p[0][i] += (value + size[d] if value < 0 else value) * stride[d]
    return OK


cdef inline void take_row(
    element *y, const element *x, const int64_t *index, Py_ssize_t B, Py_ssize_t inner,
) noexcept nogil:
    cdef Py_ssize_t i
    if inner == 1:
        for i in range(B):
            y[i] = x[index[i]]
    else:
        for i in range(B):
            memcpy(y + i * inner, x + index[i] * inner, inner * sizeof(element))


cdef int _take(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[o, b, i] = x[o, index[b], i], x is [outer, P, inner], y [outer, B, inner]; n: outer P B inner;
    # the index has been checked. Threads share the rows, or the index where there is one row.
    cdef Py_ssize_t i, outer = n[0], P = n[1], B = n[2], inner = n[3]
    cdef Py_ssize_t work = outer * B * (1 + inner // 16)  # a row is found, then copied in vectors
    cdef Py_ssize_t parts = 1 if outer > 1 else min(B, <Py_ssize_t>PARTS)
    cdef Py_ssize_t low, high
    cdef int64_t *index = <int64_t *>p[2]
    for i in prange(outer * parts, schedule="static", num_threads=threads(), use_threads_if=work >= PARALLEL):
        low = B * (i % parts) // parts
        high = B * (i % parts + 1) // parts
        take_row(p[0] + (i // parts * B + low) * inner, p[1] + i // parts * P * inner, index + low, high - low, inner)
    return OK


cdef int _put(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[index[b], i] = x[b, i], x is [B, inner]; n: size of y, B inner; the index has been checked
    cdef Py_ssize_t i, inner = n[2]
    cdef int64_t *index = <int64_t *>p[2]
    for i in range(n[1]):
        memcpy(p[0] + index[i] * inner, p[1] + i * inner, inner * sizeof(element))
    return OK


cdef inline void gather_row(
    element *y, const element *x, const int64_t *index, Py_ssize_t L, Py_ssize_t inner,
) noexcept nogil:
    cdef Py_ssize_t i, j
    if inner == 1:
        take_row(y, x, index, L, 1)
        return
    for j in range(L):
        for i in range(inner):
            y[j * inner + i] = x[index[j * inner + i] * inner + i]


cdef int _gather(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[o, l, i] = x[o, index[o, l, i], i], x is [outer, P, inner], y and index [outer, L, inner]; n: outer P L inner;
    # the index has been checked
    cdef Py_ssize_t i, P = n[1], L = n[2], inner = n[3]
    for i in prange(n[0], schedule="static", num_threads=threads(), use_threads_if=n[0] * L * inner >= PARALLEL):
        gather_row(p[0] + i * L * inner, p[1] + i * P * inner, <int64_t *>p[2] + i * L * inner, L, inner)
    return OK


cdef int _one_hot(int64_t **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[N, C] = 1 where the column is index[N], else 0; BAD_INDEX, and nothing written, if one is out of range
    cdef Py_ssize_t i, N = n[0], C = n[1]
    for i in range(N):
        if p[1][i] < 0 or p[1][i] >= C:
            return BAD_INDEX
    memset(p[0], 0, N * C * sizeof(int64_t))
    for i in range(N):
        p[0][i * C + p[1][i]] = 1
    return OK


# Masks: all are their own backward -------------------------------------------------------------------------------

cdef int _masked_fill(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[N] = a0 where mask[N], else x[N]
    cdef Py_ssize_t i
    cdef element value = <element>a[0], kept
    cdef element *y = p[0]
    cdef element *x = p[1]
    cdef uint8_t *mask = <uint8_t *>p[2]
    for i in prange(n[0], schedule="static", num_threads=threads(), use_threads_if=n[0] >= PARALLEL):
        kept = x[i]  # read in any case: a load that depends on the mask would be a jump
        y[i] = value if mask[i] else kept
    return OK


cdef int _triangle(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[B, M, N] = x where j - i <= k (lower) or j - i >= k (upper), else 0; n: B M N k upper
    cdef Py_ssize_t i, j, low, high, M = n[1], N = n[2]
    cdef element *y
    for i in range(n[0] * M):
        low = min(max(i % M + n[3], 0), N) if n[4] else 0
        high = N if n[4] else min(max(i % M + n[3] + 1, 0), N)
        y = p[0] + i * N
        memset(y, 0, N * sizeof(element))
        for j in range(low, high):
            y[j] = p[1][i * N + j]
    return OK


cdef inline void zero_behind(
    element *y, const element *x, const int64_t *lengths, Py_ssize_t t, Py_ssize_t B, Py_ssize_t F,
) noexcept nogil:
    cdef Py_ssize_t b
    for b in range(B):
        if t < lengths[b]:
            memcpy(y + b * F, x + b * F, F * sizeof(element))
        else:
            memset(y + b * F, 0, F * sizeof(element))


cdef int _zero_padding(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[T, B, F] = x[t, b, f] where t < lengths[b], else 0; n: T B F;
    # BAD_INDEX, and nothing written, if a length is not from 1 to T
    cdef Py_ssize_t t, b, T = n[0], B = n[1], F = n[2]
    cdef int64_t *lengths = <int64_t *>p[2]
    for b in range(B):
        if lengths[b] < 1 or lengths[b] > T:
            return BAD_INDEX
    for t in prange(T, schedule="static", num_threads=threads(), use_threads_if=T * B * F >= PARALLEL):
        zero_behind(p[0] + t * B * F, p[1] + t * B * F, lengths, t, B, F)
    return OK


strided_copy = Kernel("strided_copy", {
    "float32": <size_t>_strided_copy[float], "float64": <size_t>_strided_copy[double],
    "int64": <size_t>_strided_copy[int64_t], "bool": <size_t>_strided_copy[uint8_t],
})
take = Kernel("take", {
    "float32": <size_t>_take[float], "float64": <size_t>_take[double],
    "int64": <size_t>_take[int64_t], "bool": <size_t>_take[uint8_t],
})
put = Kernel("put", {
    "float32": <size_t>_put[float], "float64": <size_t>_put[double],
    "int64": <size_t>_put[int64_t], "bool": <size_t>_put[uint8_t],
})
gather = Kernel("gather", {
    "float32": <size_t>_gather[float], "float64": <size_t>_gather[double],
    "int64": <size_t>_gather[int64_t], "bool": <size_t>_gather[uint8_t],
})
masked_fill = Kernel("masked_fill", {
    "float32": <size_t>_masked_fill[float], "float64": <size_t>_masked_fill[double],
    "int64": <size_t>_masked_fill[int64_t], "bool": <size_t>_masked_fill[uint8_t],
})
triangle = Kernel("triangle", {
    "float32": <size_t>_triangle[float], "float64": <size_t>_triangle[double],
    "int64": <size_t>_triangle[int64_t], "bool": <size_t>_triangle[uint8_t],
})
zero_padding = Kernel("zero_padding", {
    "float32": <size_t>_zero_padding[float], "float64": <size_t>_zero_padding[double],
    "int64": <size_t>_zero_padding[int64_t], "bool": <size_t>_zero_padding[uint8_t],
})
linear_index = Kernel("linear_index", {"int64": <size_t>_linear_index})
one_hot = Kernel("one_hot", {"int64": <size_t>_one_hot})
