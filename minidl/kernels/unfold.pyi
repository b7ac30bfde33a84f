"""Windows as columns and back; n: P, then size, kernel, dilation, padding, stride, count of both axes."""

from minidl.kernels.kernel import Kernel

unfold: Kernel  # y[P, kh, kw, h, w], x[P, H, W]
fold: Kernel  # y[P, H, W], x[P, kh, kw, h, w]
