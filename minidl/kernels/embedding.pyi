from minidl.kernels.kernel import Kernel

bag_edges: Kernel
sum_bags: Kernel
max_bags: Kernel
