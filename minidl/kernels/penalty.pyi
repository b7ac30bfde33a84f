"""Penalties on weights; the comments list p and n, and a in brackets. All sums and norms are float64."""

from minidl.kernels.kernel import Kernel

PIECE: int
magnitudes: Kernel  # sums[ceil(N / PIECE)], x; N
squares: Kernel  # sums[ceil(N / PIECE)], x; N
excesses: Kernel  # squares[rows], norms[rows], x; rows, columns [max_norm]
from_identity: Kernel  # sums[D], g[D, D] in place; D
total: Kernel  # y, sums; S [factor]
