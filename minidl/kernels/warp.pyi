from minidl.kernels.kernel import Kernel

affine: Kernel
