"""Losses over classes; n: outer, C, inner, whether to divide by the norm. The comments list p, and a in brackets."""

from minidl.kernels.kernel import Kernel

cross_entropy: Kernel  # losses, y, e, pull, pick, x, target, weight [ignored]
nll: Kernel  # losses, y, pick, x, target, weight [ignored]
smooth_labels: Kernel  # q, target, weight [ignored, smoothing]
smooth_probabilities: Kernel  # q, target, weight [norm, smoothing]
soft_cross_entropy: Kernel  # losses, y, e, log_p, pull, x, q
