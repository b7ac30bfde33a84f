"""Normalisation by the root mean square."""

import math

import numpy as np

from minidl.engine import Node, memory
from minidl.functional import _backward as B
from minidl.functional._normalization import constant
from minidl.functional.normalization import check_affine, check_eps, shape_of
from minidl.functional.reduce import float_tensor
from minidl.kernels import rms_norm as K


class RMSNorm(Node):
    """y = x scale weight, scale = 1 / sqrt(mean(x^2) + eps) of each row of a matrix.

    g = dy weight;  dx = scale (g - x scale^2 mean(g x)),  dweight = sum of dy x scale over the rows.
    """

    name = "rms_norm"
    role = "normalization"

    def __init__(self, sizes, eps):
        super().__init__()
        self.sizes, self.eps = sizes, eps

    def forward(self, x, weight=None):
        R, L = self.sizes
        y, self.scale = self.new(x.shape), memory.empty(R, x.dtype)
        self.x, self.weight = x.array, constant(1, L, x.dtype) if weight is None else weight.array
        self.call(K.rows, [y, self.scale], [x, self.weight], self.sizes, [self.eps])
        return y

    def backward(self, dy):
        dx, dw = self.grad(0), self.grad(1) if len(self.inputs) == 2 else None
        sums = memory.empty(self.sizes[1], np.float64)
        inputs, flags = [dy, self.x, self.weight, self.scale], [dx is not None, dw is not None]
        self.call(B.rms_norm.rows, [dx, dw, sums], inputs, [*self.sizes, *flags], dtype=dy.dtype)


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """y = input / sqrt(mean(input^2) + eps) * weight, with the mean over the last dimensions.

    Parameters
    ----------
    input : Tensor, shape (..., *normalized_shape)
    normalized_shape : int or sequence of int
    weight : Tensor, shape normalized_shape, optional
    eps : float, optional
        By default the distance from 1 to the next number of the input's dtype.

    Returns
    -------
    Tensor of the input's shape

    References
    ----------
    Zhang and Sennrich, "Root mean square layer normalization", 2019.
    """
    name = "rms_norm"
    input, shape = float_tensor(name, input), shape_of(name, normalized_shape)
    if input.shape[input.ndim - len(shape) :] != shape or input.ndim < len(shape):
        raise ValueError(f"{name}: input has shape {input.shape}, expected it to end in normalized_shape {shape}")
    (weight,) = check_affine(name, input, shape, weight=weight)
    eps = float(np.finfo(input.dtype).eps) if eps is None else check_eps(name, eps)
    node = RMSNorm((math.prod(input.shape[: input.ndim - len(shape)]), math.prod(shape)), eps)
    return node.apply(input) if weight is None else node.apply(input, weight)
