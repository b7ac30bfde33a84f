from minidl.kernels.kernel import Kernel

total_norm: Kernel
clip_norm: Kernel
clip_with_norm: Kernel
clip_parameter_norm: Kernel
clip_value: Kernel
auto_clip: Kernel
z_clip: Kernel
