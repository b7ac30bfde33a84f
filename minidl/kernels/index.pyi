from minidl.kernels.kernel import Kernel

strided_copy: Kernel
take: Kernel
put: Kernel
gather: Kernel
masked_fill: Kernel
triangle: Kernel
zero_padding: Kernel
linear_index: Kernel
one_hot: Kernel
