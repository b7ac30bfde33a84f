from minidl.kernels.kernel cimport real

# What a product does to every element at the end; RELU keeps NaN.
cdef enum:
    NONE
    RELU

# c[M, N] = activation((c if accumulate else 0) + op(a) op(b) + bias[N])
#
# op(a) is [M, K], stored [K, M] where trans_a; op(b) is [K, N], stored [N, K] where trans_b; ld*: elements from one
# stored row to the next; bias may be NULL. Nothing is allocated. The bits of an element depend on its row of op(a), its
# column of op(b) and K, not on M, N, the layouts or the thread count.
cdef void gemm(
    real *c, const real *a, const real *b, Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, bint trans_a, bint trans_b,
    Py_ssize_t lda, Py_ssize_t ldb, Py_ssize_t ldc, bint accumulate, const real *bias, int activation,
) noexcept nogil

# The same on the calling thread alone, for use inside a parallel region.
cdef void gemm_serial(
    real *c, const real *a, const real *b, Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, bint trans_a, bint trans_b,
    Py_ssize_t lda, Py_ssize_t ldb, Py_ssize_t ldc, bint accumulate, const real *bias, int activation,
) noexcept nogil


# c[i] (+)= op(a[i]) op(b[i]) for contiguous matrices, stride_* elements from one to the next. A stride of 0 repeats a
# or b, and sums over the batch for c.
cdef void gemm_batched(
    real *c, const real *a, const real *b, Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, bint trans_a, bint trans_b,
    bint accumulate, Py_ssize_t batch, Py_ssize_t stride_c, Py_ssize_t stride_a, Py_ssize_t stride_b,
) noexcept nogil


# c (+)= a b (+ bias) on the calling thread, for a b that the kernel `pack_once` has packed.
cdef void gemm_packed(
    real *c, const real *a, const real *packed, Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, Py_ssize_t lda,
    Py_ssize_t ldc, bint accumulate, const real *bias,
) noexcept nogil
