from minidl.kernels.kernel import Kernel

strided_copy: Kernel
take: Kernel
gather: Kernel
masked_fill: Kernel
triangle: Kernel
zero_padding: Kernel
linear_index: Kernel
one_hot: Kernel
