"""The weights of attention; n: batch, L, S, causal, then the mask's row stride, its D, D sizes and D strides."""

from minidl.kernels.kernel import Kernel

attention_weights: Kernel  # w in place of the scores, bool mask or None, real mask or None; a: scale
