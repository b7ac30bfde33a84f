"""Index maps per axis, from planes [P, H, W] to planes [P, h, w]."""

from minidl.kernels.kernel import Kernel

remap: Kernel  # y, x, rows, columns; n: P h w H W low high
bilinear: Kernel  # y, row, x, top, bottom, down, left, right, across; n: P h w H W
