from minidl.kernels.kernel import Kernel

SEGMENT: int
POLICIES: dict[str, int]

guard: Kernel
advance: Kernel
