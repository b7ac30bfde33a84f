from minidl.kernels.kernel import Kernel

add: Kernel
multiply: Kernel
