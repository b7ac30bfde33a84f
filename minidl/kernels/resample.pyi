"""Index maps per axis, from planes [P, H, W] to planes [P, h, w]."""

from minidl.kernels.kernel import Kernel

remap: Kernel  # y, x, rows, columns; n: P h w H W low high
bilinear: Kernel  # y, x, top, bottom, down, left, right, across, row; n: P h w H W
