from minidl.kernels.kernel import Kernel

SEGMENT: int
POLICIES: dict[str, int]

clip_norm: Kernel
clip_value: Kernel
guard: Kernel
advance: Kernel
