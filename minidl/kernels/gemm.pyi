from minidl.kernels.kernel import Kernel

matmul_nn: Kernel
matmul_nt: Kernel
matmul_tn: Kernel
linear: Kernel
