"""y = x scale weight, scale = 1 / sqrt(mean(x^2) + eps) of each row."""

from minidl.kernels.kernel import Kernel

rows: Kernel  # y, scale, x, weight; n: R L [eps]
