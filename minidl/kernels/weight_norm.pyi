"""Weights by norm; a weight is a block [outer, C, inner] of C units, and n begins with these sizes."""

from minidl.kernels.kernel import Kernel

weight_norm: Kernel  # w, norm[C], v, g[C]
power_iteration: Kernel  # u[C], v[outer inner], w, product[max(C, outer inner)]; n: outer C inner iterations [eps]
spectral_norm: Kernel  # y, sigma[1], w, u[C], v[outer inner], product[C]
