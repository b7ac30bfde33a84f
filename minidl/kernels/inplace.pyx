"""Arithmetic that overwrites its first operand."""

from cython.parallel cimport prange
from libc.stdint cimport int64_t

from minidl.kernels.kernel cimport OK, PARALLEL, number, threads

from minidl.kernels.kernel import Kernel


cdef int _add(number **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[N] += a0 x[N], or x[1] where step is 0; n: N step
    cdef Py_ssize_t i, step = n[1]
    cdef number *y = p[0]
    cdef number *x = p[1]
    cdef number alpha = <number>a[0]
    for i in prange(n[0], schedule="static", num_threads=threads(), use_threads_if=n[0] >= PARALLEL):
        y[i] = y[i] + alpha * x[i * step]
    return OK


cdef int _multiply(number **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[N] *= x[N], or x[1] where step is 0; n: N step
    cdef Py_ssize_t i, step = n[1]
    cdef number *y = p[0]
    cdef number *x = p[1]
    for i in prange(n[0], schedule="static", num_threads=threads(), use_threads_if=n[0] >= PARALLEL):
        y[i] = y[i] * x[i * step]
    return OK


add = Kernel("add_", {
    "float32": <size_t>_add[float], "float64": <size_t>_add[double], "int64": <size_t>_add[int64_t],
})
multiply = Kernel("mul_", {
    "float32": <size_t>_multiply[float], "float64": <size_t>_multiply[double], "int64": <size_t>_multiply[int64_t],
})
