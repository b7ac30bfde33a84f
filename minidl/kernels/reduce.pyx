"""Reductions of the middle one of three dimensions: p: y x, n: outer K inner stride, a: divisor.

The stride is the distance of two rows of a piece of the columns; 0 says that x is whole and may be cut.

Every reduction folds in float64 (integers in int64), whatever the dtype, in an order that depends on the sizes only.
A contiguous row is folded as BLOCK columns, which are then folded in halves: gcc makes vectors of both.
"""

from cython.parallel cimport prange
from libc cimport math as libm
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t

from minidl.kernels.kernel cimport OK, PARALLEL, element, kernel_t, number, real, threads

from minidl.kernels.kernel import Kernel

cdef enum:
    BLOCK = 64  # columns that are folded together
    PIECES = 8  # into which work is cut for the threads
    STRIP = 512  # columns whose partial results fit on the stack

ctypedef fused total:
    double
    int64_t

ctypedef total (*fold_t)(total so_far, total x) noexcept nogil
ctypedef total (*finish_t)(total result, const double *a) noexcept nogil


cdef inline total fold_row(fold_t f, fold_t join, total first, element *x, Py_ssize_t size) noexcept nogil:
    """A contiguous row, folded."""
    cdef total columns[BLOCK]
    cdef total result = first
    cdef Py_ssize_t i, j, half
    if size < BLOCK:
        for i in range(size):
            result = f(result, <total> x[i])
        return result
    for j in range(BLOCK):
        columns[j] = first
    for i in range(size // BLOCK):
        for j in range(BLOCK):
            columns[j] = f(columns[j], <total> x[i * BLOCK + j])
    i = size // BLOCK * BLOCK
    for j in range(size - i):
        columns[j] = f(columns[j], <total> x[i + j])
    half = BLOCK // 2
    while half:
        for j in range(half):
            columns[j] = join(columns[j], columns[j + half])
        half = half // 2
    return columns[0]


cdef void run_piece(
    kernel_t kernel, Py_ssize_t itemsize, void *y, void *x, const double *a,
    Py_ssize_t at_y, Py_ssize_t at_x, Py_ssize_t outer, Py_ssize_t K, Py_ssize_t inner, Py_ssize_t stride,
) noexcept nogil:
    cdef void *p[2]
    cdef Py_ssize_t n[4]
    p[0], p[1] = <char *> y + at_y * itemsize, <char *> x + at_x * itemsize
    n[0], n[1], n[2], n[3] = outer, K, inner, stride
    kernel(p, n, a)


cdef int split(kernel_t kernel, Py_ssize_t itemsize, void **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """Cut a reduction into pieces for the threads: by outer, by columns, or else by K, adding up in order."""
    cdef Py_ssize_t outer = n[0], K = n[1], inner = n[2]
    cdef Py_ssize_t piece, o, start, stop
    cdef int team = threads()
    cdef double one = 1
    cdef double partial[PIECES * STRIP]
    if outer >= PIECES:
        for piece in prange(PIECES, schedule="static", num_threads=team):
            start = outer * piece // PIECES
            stop = outer * (piece + 1) // PIECES
            run_piece(kernel, itemsize, p[0], p[1], a, start * inner, start * K * inner, stop - start, K, inner, inner)
        return OK
    for o in range(outer):
        if inner > STRIP:
            for piece in prange((inner + BLOCK - 1) // BLOCK, schedule="static", num_threads=team):
                start = piece * BLOCK
                run_piece(
                    kernel, itemsize, p[0], p[1], a,
                    o * inner + start, o * K * inner + start, 1, K, min(inner - start, BLOCK), inner,
                )
        else:
            for piece in prange(PIECES, schedule="static", num_threads=team):
                start = K * piece // PIECES
                stop = K * (piece + 1) // PIECES
                run_piece(
                    kernel, itemsize, partial, p[1], &one,
                    piece * inner, (o * K + start) * inner, 1, stop - start, inner, inner,
                )
            run_piece(kernel, itemsize, p[0], partial, a, o * inner, 0, 1, PIECES, inner, inner)
    return OK


cdef inline int fold(
    fold_t f, fold_t join, finish_t finish, total first,
    kernel_t kernel, element **p, const Py_ssize_t *n, const double *a,
) noexcept nogil:
    """y[outer, inner] = finish(x[outer, 0, inner] f x[outer, 1, inner] f ...); `join` folds two results of `f`."""
    cdef Py_ssize_t outer = n[0], K = n[1], inner = n[2]
    cdef Py_ssize_t stride = n[3] if n[3] else inner
    cdef total columns[BLOCK]
    cdef element *x
    cdef Py_ssize_t o, k, start, width, j
    if n[3] == 0 and outer * K * inner >= PARALLEL:
        return split(kernel, sizeof(element), <void **> p, n, a)
    for o in range(outer):
        if stride == 1:
            p[0][o] = <element> finish(fold_row(f, join, first, p[1] + o * K, K), a)
            continue
        start = 0
        while start < inner:
            width = min(inner - start, BLOCK)
            x = p[1] + o * K * stride + start
            for j in range(width):
                columns[j] = first
            for k in range(K):
                for j in range(width):
                    columns[j] = f(columns[j], <total> x[k * stride + j])
            for j in range(width):
                p[0][o * inner + start + j] = <element> finish(columns[j], a)
            start = start + width
    return OK


cdef inline total plus(total so_far, total x) noexcept nogil:
    return so_far + x


cdef inline total plus_square(total so_far, total x) noexcept nogil:
    return so_far + x * x


cdef inline total times(total so_far, total x) noexcept nogil:
    return so_far * x


cdef inline total larger(total so_far, total x) noexcept nogil:
    cdef total y = so_far if so_far > x else x
    return so_far if so_far != so_far else y


cdef inline total smaller(total so_far, total x) noexcept nogil:
    cdef total y = so_far if so_far < x else x
    return so_far if so_far != so_far else y


cdef inline total as_is(total result, const double *a) noexcept nogil:
    return result


cdef inline double divided(double result, const double *a) noexcept nogil:
    return result / a[0]


cdef inline double root(double result, const double *a) noexcept nogil:
    return libm.sqrt(result)


cdef int _sum(number **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # divided by a0, except for integers
    if number is int64_t:
        return fold(plus[int64_t], plus[int64_t], as_is[int64_t], <int64_t> 0, <kernel_t> _sum[number], p, n, a)
    else:
        return fold(plus[double], plus[double], divided, <double> 0, <kernel_t> _sum[number], p, n, a)


cdef int _norm(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # root of the sum of squares
    return fold(plus_square[double], plus[double], root, <double> 0, <kernel_t> _norm[real], p, n, a)


cdef int _prod(number **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    if number is int64_t:
        return fold(times[int64_t], times[int64_t], as_is[int64_t], <int64_t> 1, <kernel_t> _prod[number], p, n, a)
    else:
        return fold(times[double], times[double], as_is[double], <double> 1, <kernel_t> _prod[number], p, n, a)


cdef int _amax(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    if element is int64_t or element is uint8_t:
        return fold(larger[int64_t], larger[int64_t], as_is[int64_t], INT64_MIN, <kernel_t> _amax[element], p, n, a)
    else:
        return fold(
            larger[double], larger[double], as_is[double], <double> -libm.INFINITY, <kernel_t> _amax[element], p, n, a
        )


cdef int _amin(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    if element is int64_t or element is uint8_t:
        return fold(smaller[int64_t], smaller[int64_t], as_is[int64_t], INT64_MAX, <kernel_t> _amin[element], p, n, a)
    else:
        return fold(
            smaller[double], smaller[double], as_is[double], <double> libm.INFINITY, <kernel_t> _amin[element], p, n, a
        )


cdef inline bint same(number x, number y) noexcept nogil:
    return x == y or (x != x and y != y)


cdef void find_one(int64_t *index, number *x, number *y, Py_ssize_t K, Py_ssize_t inner) noexcept nogil:
    cdef Py_ssize_t k, j
    if inner == 1:
        k = 0
        while k < K - 1 and not same(x[k], y[0]):
            k = k + 1
        index[0] = k
    else:
        for k in range(K - 1, -1, -1):
            for j in range(inner):
                index[j] = k if same(x[k * inner + j], y[j]) else index[j]


cdef int _find(number **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # p: index x y; index[outer, inner] = first k with x[outer, k, inner] = y[outer, inner], NaN being equal to NaN
    cdef Py_ssize_t K = n[1], inner = n[2]
    cdef int64_t *index = <int64_t *> p[0]
    cdef Py_ssize_t o
    for o in prange(n[0], schedule="static", num_threads=threads(), use_threads_if=n[0] * K * inner >= PARALLEL):
        find_one(index + o * inner, p[1] + o * K * inner, p[2] + o * inner, K, inner)
    return OK


sum = Kernel("sum", {
    "float32": <size_t> _sum[float], "float64": <size_t> _sum[double], "int64": <size_t> _sum[int64_t],
})
norm = Kernel("norm", {"float32": <size_t> _norm[float], "float64": <size_t> _norm[double]})
prod = Kernel("prod", {
    "float32": <size_t> _prod[float], "float64": <size_t> _prod[double], "int64": <size_t> _prod[int64_t],
})
amax = Kernel("amax", {
    "float32": <size_t> _amax[float], "float64": <size_t> _amax[double],
    "int64": <size_t> _amax[int64_t], "bool": <size_t> _amax[uint8_t],
})
amin = Kernel("amin", {
    "float32": <size_t> _amin[float], "float64": <size_t> _amin[double],
    "int64": <size_t> _amin[int64_t], "bool": <size_t> _amin[uint8_t],
})
find = Kernel("find", {
    "float32": <size_t> _find[float], "float64": <size_t> _find[double], "int64": <size_t> _find[int64_t],
})
