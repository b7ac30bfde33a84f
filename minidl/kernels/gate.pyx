"""A gate between two signals, elementwise."""

from cython.parallel cimport prange

cimport minidl.kernels.vmath as vmath  # In this form cythonize sees the dependency.
from minidl.kernels.kernel cimport OK, PARALLEL, real, threads

from minidl.kernels.kernel import Kernel

cdef enum:
    CHUNK = 2048  # elements that a thread takes at a time


cdef void mix(real *y, real *t, const real *z, const real *h, const real *x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        t[i] = vmath.sigmoid(z[i])
    for i in range(n):
        y[i] = t[i] * h[i] + (<real>1 - t[i]) * x[i]


cdef int _highway(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # t[N] = sigmoid(z), y[N] = t h + (1 - t) x; p: y, t, z, h, x
    cdef Py_ssize_t at, N = n[0]
    if N < PARALLEL // 2 or threads() == 1:
        for at in range(0, N, CHUNK):
            mix(p[0] + at, p[1] + at, p[2] + at, p[3] + at, p[4] + at, min(N - at, <Py_ssize_t>CHUNK))
    else:
        for at in prange(0, N, CHUNK, schedule="static", num_threads=threads()):
            mix(p[0] + at, p[1] + at, p[2] + at, p[3] + at, p[4] + at, min(N - at, <Py_ssize_t>CHUNK))
    return OK


highway = Kernel("highway", {"float32": <size_t>_highway[float], "float64": <size_t>_highway[double]})
