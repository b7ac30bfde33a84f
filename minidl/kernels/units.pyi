from minidl.kernels.kernel import Kernel

adaptive_clip: Kernel
centralize: Kernel
max_norm: Kernel
