"""Reductions. p: y x; n: outer K inner 0, one step of `minidl.functional._shapes.passes`."""

from minidl.kernels.kernel import Kernel

sum: Kernel  # [divisor]
norm: Kernel
prod: Kernel
amax: Kernel
amin: Kernel
find: Kernel  # index (int64), x, y: the first k where x is y
