"""Losses element by element; p: y, dx, dt, x, t, weight, pos_weight; a: scale of the sum, then what is in brackets.

n: size, reduced?, then span and repeat of weight and of pos_weight.
"""

from minidl.kernels.kernel import Kernel

mse: Kernel  # (x - t)^2
l1: Kernel  # |x - t|
huber: Kernel  # [delta, factor]
binary_cross_entropy: Kernel  # x are probabilities
binary_cross_entropy_with_logits: Kernel  # x are logits
kl_div: Kernel  # t (log t - x)
kl_div_log: Kernel  # exp(t) (t - x)
poisson_nll: Kernel  # [x is a logarithm?, full?, eps]
soft_margin: Kernel  # log(1 + exp(-t x))
