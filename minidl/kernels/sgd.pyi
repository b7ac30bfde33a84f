from minidl.kernels.kernel import Kernel

sgd: Kernel
lion: Kernel
