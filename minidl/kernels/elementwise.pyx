"""Bookkeeping on buffers: fill, copy, add up, check, and the flags that say which gradients there are."""

from cython.parallel cimport prange
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

from minidl.kernels.kernel cimport NONFINITE, OK, PARALLEL, STALE, element, real, threads

from minidl.kernels.kernel import Kernel


# Bookkeeping -----------------------------------------------------------------------------------------------------

cdef int _fill(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[N] = a0
    cdef Py_ssize_t i
    cdef element *y = p[0]
    cdef element value
    if element is uint8_t:  # a bool: no other bytes than 0 and 1
        value = a[0] != 0
    else:
        value = <element>a[0]
    for i in range(n[0]):
        y[i] = value
    return OK


cdef int _copy(element **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[N] = x[N]
    memcpy(p[0], p[1], n[0] * sizeof(element))
    return OK


cdef int _accumulate(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[N] += x[N]
    cdef Py_ssize_t i
    cdef real *y = p[0]
    cdef real *x = p[1]
    if n[0] < PARALLEL:
        for i in range(n[0]):
            y[i] = y[i] + x[i]
    else:
        for i in prange(n[0], schedule="static", num_threads=threads()):
            y[i] = y[i] + x[i]
    return OK


cdef int _check_finite(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # x[N]: NONFINITE if there is a NaN or an Inf; x - x is 0 for every other number
    cdef Py_ssize_t i
    cdef real *x = p[0]
    cdef int found = 0
    for i in range(n[0]):
        found |= x[i] - x[i] != 0
    return NONFINITE if found else OK


cdef int _set_flags(uint8_t **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # N flags = a0
    cdef Py_ssize_t i
    for i in range(n[0]):
        p[i][0] = a[0] != 0
    return OK


cdef int _expect_flags(uint8_t **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # STALE if one of N flags differs from a[N]
    cdef Py_ssize_t i
    for i in range(n[0]):
        if p[i][0] != (a[i] != 0):
            return STALE
    return OK


cdef int _product(double **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # y[1] = x0[1] * x1[1]
    p[0][0] = p[1][0] * p[2][0]
    return OK


cdef int _nothing(void **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    # has a place on the tape
    return OK


fill = Kernel("fill", {
    "float32": <size_t>_fill[float], "float64": <size_t>_fill[double],
    "int64": <size_t>_fill[int64_t], "bool": <size_t>_fill[uint8_t],
})
copy = Kernel("copy", {
    "float32": <size_t>_copy[float], "float64": <size_t>_copy[double],
    "int64": <size_t>_copy[int64_t], "bool": <size_t>_copy[uint8_t],
})
accumulate = Kernel("accumulate", {"float32": <size_t>_accumulate[float], "float64": <size_t>_accumulate[double]})
check_finite = Kernel("check_finite", {
    "float32": <size_t>_check_finite[float], "float64": <size_t>_check_finite[double],
})
set_flags = Kernel("set_flags", {"uint8": <size_t>_set_flags})
product = Kernel("product", {"float64": <size_t>_product})
expect_flags = Kernel("expect_flags", {"uint8": <size_t>_expect_flags})
nothing = Kernel("nothing", dict.fromkeys(("float32", "float64", "int64", "bool"), <size_t>_nothing))
