"""Images resampled by index maps, one per axis: copies for padding and nearest neighbours, weighted for bilinear."""

from cython.parallel cimport prange
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

from minidl.kernels.kernel cimport OK, PARALLEL, element, real, threads

from minidl.kernels.kernel import Kernel


cdef void remap_plane(
    element *y, const element *x, const int64_t *rows, const int64_t *columns, const Py_ssize_t *n,
) noexcept nogil:
    cdef Py_ssize_t i, j, h = n[1], w = n[2], W = n[4], low = n[5], high = n[6]
    cdef const element *row
    for i in range(h):
        if i and rows[i] == rows[i - 1]:
            memcpy(y, y - w, w * sizeof(element))
        else:
            row = x + rows[i] * W
            for j in range(low):
                y[j] = row[columns[j]]
            if low < high:
                memcpy(y + low, row + columns[low], (high - low) * sizeof(element))
            for j in range(high, w):
                y[j] = row[columns[j]]
        y += w


cdef int _remap(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[P, h, w] = x[P, rows[h], columns[w]]; columns low to high are neighbours; n: P h w H W low high
    cdef Py_ssize_t i, size = n[1] * n[2], plane = n[3] * n[4]
    cdef const int64_t *rows = <int64_t *>p[2]
    cdef const int64_t *columns = <int64_t *>p[3]
    if n[0] * size < PARALLEL or threads() == 1:
        for i in range(n[0]):
            remap_plane(p[0] + i * size, p[1] + i * plane, rows, columns, n)
    else:
        for i in prange(n[0], schedule="static", num_threads=threads()):
            remap_plane(p[0] + i * size, p[1] + i * plane, rows, columns, n)
    return OK


cdef void bilinear_plane(
    real *y, real *row, const real *x, const int64_t *top, const int64_t *bottom, const real *down,
    const int64_t *left, const int64_t *right, const real *across, const Py_ssize_t *n,
) noexcept nogil:
    cdef Py_ssize_t i, j, h = n[1], w = n[2], W = n[4]
    cdef const real *upper
    cdef const real *lower
    cdef real weight, rest
    for i in range(h):
        upper = x + top[i] * W
        if bottom[i] != top[i]:
            lower = x + bottom[i] * W
            weight, rest = down[i], 1 - down[i]
            for j in range(W):
                row[j] = rest * upper[j] + weight * lower[j]
            upper = row
        for j in range(w):
            y[j] = (1 - across[j]) * upper[left[j]] + across[j] * upper[right[j]]
        y += w


cdef int _bilinear(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[P, h, w] = sum of x[P, H, W] at top and bottom[h], left and right[w], by the weights 1 - down and down[h],
    # 1 - across and across[w]; p: y row x top bottom down left right across, row[P, W] is scratch; n: P h w H W
    cdef Py_ssize_t i, size = n[1] * n[2], plane = n[3] * n[4]
    cdef const int64_t *top = <int64_t *>p[2]
    cdef const int64_t *bottom = <int64_t *>p[3]
    cdef const int64_t *left = <int64_t *>p[5]
    cdef const int64_t *right = <int64_t *>p[6]
    if n[0] * size < PARALLEL // 2 or threads() == 1:
        for i in range(n[0]):
            bilinear_plane(p[0] + i * size, p[8] + i * n[4], p[1] + i * plane, top, bottom, p[4], left, right, p[7], n)
    else:
        for i in prange(n[0], schedule="static", num_threads=threads()):
            bilinear_plane(p[0] + i * size, p[8] + i * n[4], p[1] + i * plane, top, bottom, p[4], left, right, p[7], n)
    return OK


remap = Kernel("remap", {
    "float32": <size_t>_remap[float], "float64": <size_t>_remap[double],
    "int64": <size_t>_remap[int64_t], "bool": <size_t>_remap[uint8_t],
})
bilinear = Kernel("bilinear", {"float32": <size_t>_bilinear[float], "float64": <size_t>_bilinear[double]})
