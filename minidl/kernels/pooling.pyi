"""Pooling over planes [planes, H, W]; n: planes, then `Axis.layout` of the rows and of the columns."""

from minidl.kernels.kernel import Kernel

max_pool: Kernel  # y tap index, x; tap: uint8 place in the window, or null; index: int64 place in the plane, or null
avg_pool: Kernel  # y, x
