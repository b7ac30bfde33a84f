"""Matrix products: blocked over the caches around a tile of C in registers (microkernel.h).

Exports the kernels ``matmul_nn``, ``matmul_nt``, ``matmul_tn`` (``p = [c, a, b]``,
``n = [M, N, K, accumulate, batch, stride_c, stride_a, stride_b]``) and ``linear`` (``p = [y, x, w, bias or NULL]``,
``n = [M, N, K, activation]``, computing ``y = activation(x w^T + bias)``), and ``pack_once`` (``p = [packed, b]``,
``n = [N, K, transposed]``) for a matrix that is multiplied many times, which takes `packed_size` elements.
"""

from cython.parallel cimport prange

from minidl.kernels.kernel cimport SERIAL, flush_denormals, restore_denormals, threads

from minidl.kernels.kernel import Kernel

cdef extern from "microkernel.h" nogil:
    const Py_ssize_t TILE_ROWS, TILE_VECTORS, VECTOR_BYTES, SCRATCH_BYTES
    void *scratch()
    void tile_float(
        int rows, float *c, Py_ssize_t ldc, const float *a, Py_ssize_t row, Py_ssize_t step, const float *b,
        Py_ssize_t ldb, Py_ssize_t depth, int width, bint accumulate, const float *bias, bint relu)
    void tile_double(
        int rows, double *c, Py_ssize_t ldc, const double *a, Py_ssize_t row, Py_ssize_t step, const double *b,
        Py_ssize_t ldb, Py_ssize_t depth, int width, bint accumulate, const double *bias, bint relu)
    void pack_copy_float(float *to, Py_ssize_t ldt, const float *x, Py_ssize_t ldx, int count, Py_ssize_t depth)
    void pack_copy_double(double *to, Py_ssize_t ldt, const double *x, Py_ssize_t ldx, int count, Py_ssize_t depth)
    void pack_transposed_float(float *to, Py_ssize_t ldt, const float *x, Py_ssize_t ldx, int count, Py_ssize_t depth)
    void pack_transposed_double(
        double *to, Py_ssize_t ldt, const double *x, Py_ssize_t ldx, int count, Py_ssize_t depth)

cdef enum:
    DEPTH = 256  # of a block of K: a panel of B takes 32 KB of the L1 cache
    A_BYTES = 1 << 19  # packed A and B share the L2 cache; whole tiles of A leave room for pack to write too far
    B_BYTES = 1 << 20
    PACKING = 16  # cost of packing an element, in multiplications
    PAGE = 4096


cdef inline Py_ssize_t lanes(const real *unused) noexcept nogil:
    return VECTOR_BYTES // <Py_ssize_t>sizeof(real)


cdef inline Py_ssize_t ceildiv(Py_ssize_t x, Py_ssize_t y) noexcept nogil:
    return (x + y - 1) // y


cdef inline Py_ssize_t share(Py_ssize_t size, Py_ssize_t limit, Py_ssize_t unit) noexcept nogil:
    """Length of the equal parts, multiples of unit, none above limit (itself a multiple), that size is cut into."""
    if size > limit:
        size = ceildiv(size, ceildiv(size, limit))
    return ceildiv(size, unit) * unit


cdef inline void tile(
    Py_ssize_t rows, real *c, Py_ssize_t ldc, const real *a, Py_ssize_t row, Py_ssize_t step, const real *b,
    Py_ssize_t ldb, Py_ssize_t depth, Py_ssize_t width, bint accumulate, const real *bias, bint relu,
) noexcept nogil:
    if real is float:
        tile_float(<int>rows, c, ldc, a, row, step, b, ldb, depth, <int>width, accumulate, bias, relu)
    else:
        tile_double(<int>rows, c, ldc, a, row, step, b, ldb, depth, <int>width, accumulate, bias, relu)


cdef inline void pack_vector(
    real *to, Py_ssize_t ldt, const real *x, Py_ssize_t ldx, int count, Py_ssize_t depth, bint transposed,
) noexcept nogil:
    if real is float:
        if transposed:
            pack_transposed_float(to, ldt, x, ldx, count, depth)
        else:
            pack_copy_float(to, ldt, x, ldx, count, depth)
    else:
        if transposed:
            pack_transposed_double(to, ldt, x, ldx, count, depth)
        else:
            pack_copy_double(to, ldt, x, ldx, count, depth)


cdef void pack(
    real *to, Py_ssize_t ldt, const real *x, Py_ssize_t ldx, Py_ssize_t count, Py_ssize_t depth, bint transposed,
) noexcept nogil:
    """to[k, i] = x[i, k] if transposed else x[k, i], for i < count.

    Whole vectors are written, the last first: each overwrites what the one after it wrote too far.
    """
    cdef Py_ssize_t width = lanes(x), i = (count - 1) // width * width
    while i >= 0:
        pack_vector(to + i, ldt, x + i * (ldx if transposed else 1), ldx, <int>min(width, count - i), depth, transposed)
        i -= width


cdef void column(
    real *c, Py_ssize_t ldc, const real *a, Py_ssize_t lda, bint trans_a, real *packed_a, bint fresh, const real *b,
    Py_ssize_t ldb, Py_ssize_t M, Py_ssize_t width, Py_ssize_t depth, bint accumulate, const real *bias, bint relu,
) noexcept nogil:
    """A column of tiles; a goes through packed_a unless it is NULL, and fills it if fresh."""
    cdef:
        Py_ssize_t i = 0, m, row = 1 if trans_a else lda, step = lda if trans_a else 1
        Py_ssize_t height = share(M, TILE_ROWS, 1)
    while i < M:
        m = min(height, M - i)
        if packed_a == NULL:
            tile(m, c + i * ldc, ldc, a + i * row, row, step, b, ldb, depth, width, accumulate, bias, relu)
        else:
            if fresh:
                pack(packed_a + i * depth, m, a + i * row, lda, m, depth, not trans_a)
            tile(m, c + i * ldc, ldc, packed_a + i * depth, 1, m, b, ldb, depth, width, accumulate, bias, relu)
        i += height


cdef void gemm_serial(
    real *c, const real *a, const real *b, Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, bint trans_a, bint trans_b,
    Py_ssize_t lda, Py_ssize_t ldb, Py_ssize_t ldc, bint accumulate, const real *bias, int activation,
) noexcept nogil:
    cdef:
        Py_ssize_t size = sizeof(real), panel = TILE_VECTORS * lanes(a)
        Py_ssize_t height = share(M, A_BYTES // (DEPTH * size * TILE_ROWS) * TILE_ROWS, TILE_ROWS)
        Py_ssize_t width = share(N, B_BYTES // (DEPTH * size), panel)
        Py_ssize_t depth = max(share(K, DEPTH, 16), 1)
        # Rows a multiple of a page apart share few cache sets, so then packing pays at less reuse.
        bint pack_a = N >= 16 * panel or (trans_a and lda * size % PAGE == 0 and N >= 4 * panel)
        bint pack_b = trans_b or M >= 16 * TILE_ROWS or (ldb * size % PAGE == 0 and M >= 4 * TILE_ROWS)
        real *packed_a = <real *>scratch()
        real *packed_b = packed_a + A_BYTES // size
        real *to = packed_b
        const real *b_panel
        Py_ssize_t i, j, k, first = 0, d, n
        bint last
        unsigned int denormals = flush_denormals()
    while first < N:
        k = 0
        while k == 0 or k < K:  # without K once, for the zeros or the bias
            d = min(depth, K - k)
            last = k + d == K
            i = 0
            while i < M:
                j = first
                while j < min(first + width, N):
                    n = min(panel, N - j)
                    b_panel = b + (j * ldb + k if trans_b else k * ldb + j)
                    if pack_b:
                        if height < M:  # otherwise each panel takes the place of the one before, in the L1 cache
                            to = packed_b + (j - first) * d
                        if i == 0:
                            pack(to, panel, b_panel, ldb, n, d, trans_b)
                        b_panel = to
                    column(c + i * ldc + j, ldc, a + (i if trans_a else i * lda) + (k * lda if trans_a else k), lda,
                           trans_a, packed_a if pack_a else NULL, j == first, b_panel, panel if pack_b else ldb,
                           min(height, M - i), n, d, accumulate or k > 0, bias + j if last and bias != NULL else NULL,
                           last and activation == RELU)
                    j += panel
                i += height
            k += depth
        first += width
    restore_denormals(denormals)


cdef void gemm(
    real *c, const real *a, const real *b, Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, bint trans_a, bint trans_b,
    Py_ssize_t lda, Py_ssize_t ldb, Py_ssize_t ldc, bint accumulate, const real *bias, int activation,
) noexcept nogil:
    cdef:
        Py_ssize_t i, j, m, n, t, r, cost, best = -1, rows = 1, columns = 1
        int workers = <int>min(<Py_ssize_t>threads(), M * N * K // SERIAL)
    # Each thread computes its own rectangle of c from panels it packs for itself, so none waits for another.
    for r in range(1, workers + 1):
        if workers % r == 0:
            m = ceildiv(M, r)
            n = share(N, ceildiv(N, workers // r), lanes(a))
            cost = m * n + PACKING * (m + n)
            if best < 0 or cost < best:
                best, rows, columns = cost, m, n
    if workers <= 1:
        gemm_serial(c, a, b, M, N, K, trans_a, trans_b, lda, ldb, ldc, accumulate, bias, activation)
        return
    r = ceildiv(N, columns)
    for t in prange(ceildiv(M, rows) * r, num_threads=workers, schedule="static"):
        i = t // r * rows
        j = t % r * columns
        gemm_serial(c + i * ldc + j, a + i * (1 if trans_a else lda), b + j * (ldb if trans_b else 1), min(rows, M - i),
                    min(columns, N - j), K, trans_a, trans_b, lda, ldb, ldc, accumulate,
                    bias + j if bias != NULL else NULL, activation)


cdef void gemm_batched(
    real *c, const real *a, const real *b, Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, bint trans_a, bint trans_b,
    bint accumulate, Py_ssize_t batch, Py_ssize_t stride_c, Py_ssize_t stride_a, Py_ssize_t stride_b,
) noexcept nogil:
    cdef:
        Py_ssize_t i, lda = M if trans_a else K, ldb = K if trans_b else N
        int workers = <int>min(<Py_ssize_t>threads(), batch * M * N * K // SERIAL)
    if 1 < workers <= batch and stride_c != 0:
        for i in prange(batch, num_threads=workers, schedule="static"):
            gemm_serial(c + i * stride_c, a + i * stride_a, b + i * stride_b, M, N, K, trans_a, trans_b, lda, ldb, N,
                        accumulate, NULL, NONE)
    else:
        for i in range(batch):
            gemm(c + i * stride_c, a + i * stride_a, b + i * stride_b, M, N, K, trans_a, trans_b, lda, ldb, N,
                 accumulate or (stride_c == 0 and i > 0), NULL, NONE)


cdef void gemm_packed(
    real *c, const real *a, const real *packed, Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, Py_ssize_t lda,
    Py_ssize_t ldc, bint accumulate, const real *bias,
) noexcept nogil:
    cdef Py_ssize_t j = 0, panel = TILE_VECTORS * lanes(a)
    while j < N:
        column(c + j, ldc, a, lda, False, NULL, False, packed + j * K, panel, M, min(panel, N - j), K, accumulate,
               bias + j if bias != NULL else NULL, False)
        j += panel


cdef void add_packed(
    void *c, const void *a, const void *packed, Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, Py_ssize_t itemsize,
) noexcept nogil:
    """c[M, N] += a[M, K] b[K, N], all contiguous; for kernels that Numba compiles."""
    if itemsize == <Py_ssize_t>sizeof(float):
        gemm_packed(<float *>c, <const float *>a, <const float *>packed, M, N, K, K, N, True, NULL)
    else:
        gemm_packed(<double *>c, <const double *>a, <const double *>packed, M, N, K, K, N, True, NULL)


cdef int pack_panels(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    """p: packed, b; n: N, K, whether b is [N, K] rather than [K, N]."""
    cdef Py_ssize_t j = 0, N = n[0], K = n[1], panel = TILE_VECTORS * lanes(p[0])
    while j < N:
        pack(p[0] + j * K, panel, <const real *>p[1] + j * (K if n[2] else 1), K if n[2] else N, min(panel, N - j), K,
             n[2])
        j += panel
    return 0


def packed_size(N, K, itemsize):
    """Elements of a packed matrix of K rows and N columns."""
    panel = TILE_VECTORS * VECTOR_BYTES // itemsize
    return -(-N // panel) * panel * K


cdef inline int matmul(real **p, const Py_ssize_t *n, bint trans_a, bint trans_b) noexcept nogil:
    gemm_batched(p[0], <const real *>p[1], <const real *>p[2], n[0], n[1], n[2], trans_a, trans_b, n[3], n[4], n[5],
                 n[6], n[7])
    return 0


cdef int nn(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return matmul(p, n, False, False)


cdef int nt(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return matmul(p, n, False, True)


cdef int tn(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    return matmul(p, n, True, False)


cdef int affine(real **p, const Py_ssize_t *n, const double *a) noexcept nogil:
    gemm(p[0], <const real *>p[1], <const real *>p[2], n[0], n[1], n[2], False, True, n[2], n[2], n[1], False,
         <const real *>p[3], <int>n[3])
    return 0


matmul_nn = Kernel("matmul_nn", {"float32": <size_t>nn[float], "float64": <size_t>nn[double]})
matmul_nt = Kernel("matmul_nt", {"float32": <size_t>nt[float], "float64": <size_t>nt[double]})
matmul_tn = Kernel("matmul_tn", {"float32": <size_t>tn[float], "float64": <size_t>tn[double]})
linear = Kernel("linear", {"float32": <size_t>affine[float], "float64": <size_t>affine[double]})
pack_once = Kernel("pack_once", {"float32": <size_t>pack_panels[float], "float64": <size_t>pack_panels[double]})
add_packed_address = <size_t>&add_packed
