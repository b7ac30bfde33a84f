"""A gate between two signals, elementwise; the comment lists p and n."""

from minidl.kernels.kernel import Kernel

highway: Kernel  # y, t, z, h, x; N
