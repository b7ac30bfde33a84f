"""A gate between two signals, elementwise."""

from cython.parallel cimport prange

cimport minidl.kernels.vmath as vmath  # In this form cythonize sees the dependency.
from minidl.kernels.kernel cimport OK, PARALLEL, real, threads

from minidl.kernels.kernel import Kernel

cdef enum:
    CHUNK = 2048  # elements that a thread takes at a time


cdef void mix(real **p, Py_ssize_t start, Py_ssize_t size) noexcept nogil:
    cdef real *y = p[0] + start
    cdef real *t = p[1] + start
    cdef const real *z = p[2] + start
    cdef const real *h = p[3] + start
    cdef const real *x = p[4] + start
    cdef Py_ssize_t i
    for i in range(size):
        t[i] = vmath.sigmoid(z[i])
    for i in range(size):
        y[i] = t[i] * h[i] + (<real>1 - t[i]) * x[i]


cdef int _highway(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # t[N] = sigmoid(z), y[N] = t h + (1 - t) x; p: y, t, z, h, x
    cdef Py_ssize_t chunk, N = n[0], chunks = (n[0] + CHUNK - 1) // CHUNK
    if N < PARALLEL // 2 or threads() == 1:
        for chunk in range(chunks):
            mix(p, chunk * CHUNK, min(N - chunk * CHUNK, <Py_ssize_t>CHUNK))
    else:
        for chunk in prange(chunks, schedule="static", num_threads=threads()):
            mix(p, chunk * CHUNK, min(N - chunk * CHUNK, <Py_ssize_t>CHUNK))
    return OK


highway = Kernel("highway", {"float32": <size_t>_highway[float], "float64": <size_t>_highway[double]})
