"""Sliding windows of images as columns, and back: each is the other's backward pass."""

from cython.parallel cimport prange
from libc.string cimport memcpy, memset

from minidl.kernels.kernel cimport OK, PARALLEL, real, threads

from minidl.kernels.kernel import Kernel


# How one axis is walked: position of the window, place in the window, element in the image.
cdef struct Axis:
    Py_ssize_t size      # of the image
    Py_ssize_t kernel
    Py_ssize_t dilation
    Py_ssize_t padding
    Py_ssize_t stride
    Py_ssize_t count     # windows


cdef struct Span:
    Py_ssize_t low       # first window whose element lies in the image
    Py_ssize_t high      # behind the last
    Py_ssize_t offset    # of the element of window 0, which may lie before the image


cdef inline Span span_of(const Axis *axis, Py_ssize_t k) noexcept nogil:
    cdef Span span
    cdef Py_ssize_t s = axis.stride, end
    span.offset = k * axis.dilation - axis.padding
    end = axis.size - span.offset
    span.high = min((end + s - 1) // s, axis.count) if end > 0 else 0
    span.low = min((s - 1 - span.offset) // s, span.high) if span.offset < 0 else 0
    return span


cdef void unfold_part(real *y, const real *x, const Axis *down, const Axis *across, Py_ssize_t k) noexcept nogil:
    """The element k of all windows of one plane."""
    cdef Span rows = span_of(down, k // across.kernel), columns = span_of(across, k % across.kernel)
    cdef Py_ssize_t i, j, w = across.count, s = across.stride, inside = columns.high - columns.low
    cdef const real *row
    memset(y, 0, rows.low * w * sizeof(real))
    for i in range(rows.low, rows.high):
        row = x + (i * down.stride + rows.offset) * across.size + columns.offset
        memset(y + i * w, 0, columns.low * sizeof(real))
        if s == 1 and inside:
            memcpy(y + i * w + columns.low, row + columns.low, inside * sizeof(real))
        else:
            for j in range(columns.low, columns.high):
                y[i * w + j] = row[j * s]
        memset(y + i * w + columns.high, 0, (w - columns.high) * sizeof(real))
    memset(y + rows.high * w, 0, (down.count - rows.high) * w * sizeof(real))


cdef int _unfold(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[P, kh, kw, h, w] = x[P, h * stride - padding + kh * dilation, likewise], 0 outside the image;
    # n: P, then size, kernel, dilation, padding, stride, count of both axes
    cdef const Axis *down = <const Axis *>(n + 1)
    cdef const Axis *across = down + 1
    cdef Py_ssize_t i, parts = down.kernel * across.kernel, size = down.count * across.count
    cdef Py_ssize_t plane = down.size * across.size
    if n[0] * parts * size < PARALLEL or threads() == 1:
        for i in range(n[0] * parts):
            unfold_part(p[0] + i * size, p[1] + i // parts * plane, down, across, i % parts)
    else:
        for i in prange(n[0] * parts, schedule="static", num_threads=threads()):
            unfold_part(p[0] + i * size, p[1] + i // parts * plane, down, across, i % parts)
    return OK


cdef void fold_plane(real *y, const real *x, const Axis *down, const Axis *across) noexcept nogil:
    cdef Py_ssize_t i, j, k, w = across.count, s = across.stride
    cdef Span rows, columns
    cdef real *row
    memset(y, 0, down.size * across.size * sizeof(real))
    for k in range(down.kernel * across.kernel):
        rows, columns = span_of(down, k // across.kernel), span_of(across, k % across.kernel)
        for i in range(rows.low, rows.high):
            row = y + (i * down.stride + rows.offset) * across.size + columns.offset
            if s == 1:
                for j in range(columns.low, columns.high):
                    row[j] = row[j] + x[i * w + j]
            else:
                for j in range(columns.low, columns.high):
                    row[j * s] = row[j * s] + x[i * w + j]
        x += down.count * w


cdef int _fold(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[P, H, W] = sum of x[P, kh, kw, h, w] over the windows that hold the element; n as for unfold
    cdef const Axis *down = <const Axis *>(n + 1)
    cdef const Axis *across = down + 1
    cdef Py_ssize_t i, plane = down.size * across.size
    cdef Py_ssize_t size = down.kernel * across.kernel * down.count * across.count
    if n[0] * size < PARALLEL or threads() == 1:
        for i in range(n[0]):
            fold_plane(p[0] + i * plane, p[1] + i * size, down, across)
    else:
        for i in prange(n[0], schedule="static", num_threads=threads()):
            fold_plane(p[0] + i * plane, p[1] + i * size, down, across)
    return OK


unfold = Kernel("unfold", {"float32": <size_t>_unfold[float], "float64": <size_t>_unfold[double]})
fold = Kernel("fold", {"float32": <size_t>_fold[float], "float64": <size_t>_fold[double]})
