from minidl.kernels.kernel import Kernel

TILE: int

dropout: Kernel
alpha_dropout: Kernel
bernoulli: Kernel
uniform: Kernel
normal: Kernel
integers: Kernel
wire_noise: Kernel
gradient_noise: Kernel
