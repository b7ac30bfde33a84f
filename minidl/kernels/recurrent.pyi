"""Whole loops over time; p: y h_n c_n states cells gates, x weight bias peephole h_0 c_0 tokens lengths.

n: T, B, H, reverse. See the source for shapes; what a layer does not have is None.
"""

from minidl.kernels.kernel import Kernel

rnn_tanh: Kernel
rnn_relu: Kernel
lstm: Kernel  # gates: i f g o tanh(c)
gru: Kernel  # gates: r z share-of-h n
