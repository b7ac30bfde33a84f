"""Images moved, turned and scaled: each pixel of the result looks up its place in the source, between four pixels."""

from cython.parallel cimport prange

cimport minidl.kernels.kernel as kernel
from minidl.kernels.kernel cimport OK, threads

from minidl.kernels.kernel import Kernel

# Pixels of a row that are made together, in arrays of their own: where the result might overlap the source, the
# compiler does not fetch several pixels at a time.
cdef enum:
    BLOCK = 64

# Pixels from which two threads save more than they cost.
cdef enum:
    PARALLEL_PIXELS = 2 * kernel.PARALLEL


cdef inline void _place(float *at, float step, float first, float last, int count) noexcept nogil:
    # where the pixels lie in the source along one direction, at most one pixel outside; counted from its border
    cdef int j
    cdef float place
    for j in range(count):
        place = first + step * <float>j
        place = place if place > -1 else -1
        place = place if place < last else last
        at[j] = place + 1


cdef inline void _plane(float *y, float *x, float *m, int H, int W) noexcept nogil:
    # x has one row and column more in front and two behind, so that no pixel needs to ask where it is
    cdef float across[BLOCK]
    cdef float down[BLOCK]
    cdef float line[BLOCK]
    cdef int i, j, block, count, column, row, at, stride = W + 3
    cdef float sx, sy, top, bottom
    for i in range(H):
        for block in range((W + BLOCK - 1) // BLOCK):
            j = block * BLOCK
            count = min(W - j, <int>BLOCK)
            _place(across, m[0], m[0] * <float>j + (m[1] * <float>i + m[2]), <float>W, count)
            _place(down, m[3], m[3] * <float>j + (m[4] * <float>i + m[5]), <float>H, count)
            for j in range(count):
                column, row = <int>across[j], <int>down[j]
                sx, sy = across[j] - <float>column, down[j] - <float>row
                at = row * stride + column
                top = x[at] + sx * (x[at + 1] - x[at])
                bottom = x[at + stride] + sx * (x[at + stride + 1] - x[at + stride])
                line[j] = top + sy * (bottom - top)
            for j in range(count):
                y[j] = line[j]
            y += count


cdef int _affine(float **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[N, C, H, W] = x at column m0 j + m1 i + m2, row m3 j + m4 i + m5, bilinear; p: y x[N, C, H+3, W+3] m[N, 6]
    cdef Py_ssize_t k, C = n[1], H = n[2], W = n[3], source = (H + 3) * (W + 3)
    cdef Py_ssize_t planes = n[0] * C
    for k in prange(planes, schedule="static", num_threads=threads(),
                    use_threads_if=planes * H * W >= PARALLEL_PIXELS):
        _plane(p[0] + k * H * W, p[1] + k * source, p[2] + k // C * 6, <int>H, <int>W)
    return OK


affine = Kernel("affine", {"float32": <size_t>_affine})
