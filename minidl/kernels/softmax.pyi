"""softmax and log_softmax over the middle dimension; n: outer, K, inner."""

from minidl.kernels.kernel import Kernel

softmax: Kernel  # y, x
log_softmax: Kernel  # y, softmax, x
