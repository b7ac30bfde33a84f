"""Forward kernels of the activations and of the unary functions.

The comments list p; n is [size] unless said otherwise, a the scalars in brackets. d is dy/dx and may be NULL.
"""

from minidl.kernels.kernel import Kernel

relu: Kernel  # y, x
leaky_relu: Kernel  # y, x [slope]
elu: Kernel  # y, d, x [alpha]
celu: Kernel  # y, d, x [alpha]
selu: Kernel  # y, d, x
gelu: Kernel  # y, d, x
gelu_tanh: Kernel  # y, d, x
silu: Kernel  # y, d, x
softplus: Kernel  # y, d, x [beta, threshold]
sigmoid: Kernel  # y, x
tanh: Kernel  # y, x
hardtanh: Kernel  # y, x [min, max]
hardsigmoid: Kernel  # y, x
hardswish: Kernel  # y, x
softsign: Kernel  # y, x
mish: Kernel  # y, d, x
log_sigmoid: Kernel  # y, d, x
prelu: Kernel  # y, x, weight; n: outer, channels, inner
exp: Kernel  # y, x
log: Kernel  # y, x
sqrt: Kernel  # y, x
abs: Kernel  # y, x
neg: Kernel  # y, x
reciprocal: Kernel  # y, x
square: Kernel  # y, x
sin: Kernel  # y, d, x
cos: Kernel  # y, d, x
log1p: Kernel  # y, x
expm1: Kernel  # y, x
erf: Kernel  # y, d, x
sign: Kernel  # y, x
clamp: Kernel  # y, x [min, max]
