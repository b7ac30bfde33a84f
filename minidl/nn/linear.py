"""Linear layers, and layers that only change the shape."""

import numpy as np

from minidl import functional as F
from minidl.engine import as_tensor, memory
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.values import count, float_dtype
from minidl.tensor import Parameter


class Linear(Module):
    """y = x W^T + b.

    Weights start from He's normal distribution (He et al. 2015; fan-in, gain sqrt 2), biases from 0.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
        Whether there is a `b`.
    dtype : dtype or str

    Shapes
    ------
    input : (..., in_features)
    output : (..., out_features)
    weight : (out_features, in_features)
    bias : (out_features,)
    """

    fuses_relu = True

    def __init__(self, in_features, out_features, bias=True, dtype="float32"):
        super().__init__()
        self.in_features = count("Linear", "in_features", in_features)
        self.out_features = count("Linear", "out_features", out_features)
        dtype = float_dtype("Linear", dtype)
        self.weight = Parameter(memory.empty((out_features, in_features), dtype))
        self.bias = Parameter(np.zeros(out_features, dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self):
        """Draw new initial values."""
        init.kaiming_normal_(self.weight, nonlinearity="relu")
        if self.bias is not None:
            init.zeros_(self.bias)

    def reset_parameters_torch(self):
        """Draw PyTorch's initial values: weights and biases uniform within 1 / sqrt(in_features)."""
        init.torch_uniform_(self.weight, self.in_features)
        if self.bias is not None:
            init.torch_uniform_(self.bias, self.in_features)

    def forward(self, input, activation=None):
        return F.linear(input, self.weight, self.bias, activation)

    def extra_repr(self):
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Flatten(Module):
    """Dimensions `start_dim` to `end_dim` as one; by default all but the batch."""

    def __init__(self, start_dim=1, end_dim=-1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input):
        return F.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self):
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Dimension `dim` as several, of the sizes `unflattened_size`; one of them may be -1."""

    def __init__(self, dim, unflattened_size):
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input):
        input = as_tensor(input)
        if not -input.ndim <= self.dim < input.ndim:
            raise IndexError(f"dim {self.dim} is out of range for shape {input.shape}")
        before, after = input.shape[: self.dim], input.shape[self.dim :][1:]
        return F.reshape(input, (*before, *self.unflattened_size, *after))

    def extra_repr(self):
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
