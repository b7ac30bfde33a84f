from minidl.kernels.kernel import Kernel

dropout: Kernel
alpha_dropout: Kernel
bernoulli: Kernel
uniform: Kernel
normal: Kernel
integers: Kernel
