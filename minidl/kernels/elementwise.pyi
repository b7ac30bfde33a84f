from minidl.kernels.kernel import Kernel

fill: Kernel
copy: Kernel
accumulate: Kernel
check_finite: Kernel
set_flags: Kernel
expect_flags: Kernel
