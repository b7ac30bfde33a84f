from minidl.kernels.kernel import Kernel

l1_decay: Kernel
l2_decay: Kernel
weight_decay: Kernel
