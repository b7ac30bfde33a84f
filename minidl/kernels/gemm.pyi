"""Matrix products; n of the first three: M, N, K, accumulate, batch, then the strides of c, a and b over the batch."""

from minidl.kernels.kernel import Kernel

matmul_nn: Kernel  # c[M, N], a[M, K], b[K, N]
matmul_nt: Kernel  # c[M, N], a[M, K], b[N, K]
matmul_tn: Kernel  # c[M, N], a[K, M], b[K, N]
linear: Kernel  # y[M, N], x[M, K], w[N, K], bias[N] or None; n: M, N, K, activation
pack_once: Kernel  # packed, b[K, N]; n: N, K, whether b is [N, K]

def packed_size(N: int, K: int, itemsize: int) -> int: ...

add_packed_address: int
