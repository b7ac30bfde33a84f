from minidl.kernels.kernel import Kernel

adam: Kernel
adamax: Kernel
advance_nadam: Kernel
lamb: Kernel
nadam: Kernel
radam: Kernel
