# What the kernels of normalisation share. Each leaves stats[4, S] behind: mean, rest, rstd = 1 / sqrt(var + eps) and
# var of S sets of elements. The mean is mean + rest, because one float32 is too coarse where it is large and the
# deviation small; x - mean is nearly exact, and rest becomes part of the bias. Both come from the corrected two-pass
# algorithm: Chan, Golub, LeVeque, "Algorithms for computing the sample variance", 1983.

from libc.math cimport sqrt

from minidl.kernels.kernel cimport real

cdef enum:
    LANES = 32  # partial sums side by side: they and their squares fit into 12 AVX2 registers
    TERMS = 64  # terms of a partial sum, before it goes into a double
    PRODUCTS = 16  # partial sums of products side by side, each a double


cdef inline void settle(
    real *stats, Py_ssize_t S, Py_ssize_t s, real mean, double rest, double var, double eps
) noexcept nogil:
    var = 0 if var < 0 else var
    stats[s] = mean
    stats[S + s] = <real>rest
    stats[2 * S + s] = <real>(1 / sqrt(var + eps))
    stats[3 * S + s] = <real>var


cdef inline real finish(real y, bint relu) noexcept nogil:
    return 0 if relu and y < 0 else y


cdef inline double dot(const real *x, const real *y, Py_ssize_t size) noexcept nogil:
    """Sum of x y in float64, where no square of a float32 overflows; its order depends on nothing but the size."""
    cdef double[PRODUCTS] lane
    cdef double total = 0
    cdef Py_ssize_t i, j, whole = size - size % PRODUCTS
    if whole:
        for j in range(PRODUCTS):
            lane[j] = 0
        for i in range(size // PRODUCTS):
            for j in range(PRODUCTS):
                lane[j] += <double>x[i * PRODUCTS + j] * y[i * PRODUCTS + j]
        for j in range(PRODUCTS):
            total += lane[j]
    for i in range(whole, size):
        total += <double>x[i] * y[i]
    return total
