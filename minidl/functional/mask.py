"""Masks: masked_fill, tril, triu, one_hot."""

import math

import numpy as np

from minidl.engine import Node, as_tensor
from minidl.functional.index import as_index
from minidl.functional.shape import expand
from minidl.kernels import index as K


class MaskedFill(Node):
    """y = value where mask, else x;  dx = 0 where mask, else dy."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x, mask):
        y = self.new(x.shape)
        self.call(K.masked_fill, [y], [x, mask], [x.array.size], [self.value])
        self.mask = mask.array
        return y

    def backward(self, dy):
        self.call(K.masked_fill, [self.grad()], [dy, self.mask], [dy.size], [0.0])


def masked_fill(input, mask, value):
    """`value` where `mask` is true, else `input`; the two broadcast.

    Parameters
    ----------
    input : Tensor
    mask : bool Tensor
    value : float
    """
    input, mask = as_tensor(input), as_tensor(mask)
    if mask.dtype != bool:
        raise TypeError(f"masked_fill: mask is {mask.dtype}, expected bool")
    try:
        shape = np.broadcast_shapes(input.shape, mask.shape)
    except ValueError:
        raise ValueError(f"masked_fill: mask has shape {mask.shape}, which does not fit {input.shape}") from None
    return MaskedFill(float(value)).apply(expand(input, shape), expand(mask, shape))


class Triangle(Node):
    """y[i, j] = x[i, j] where j - i <= k (lower) or j - i >= k (upper), else 0;  dx likewise from dy."""

    def __init__(self, diagonal, upper):
        super().__init__()
        self.diagonal, self.upper = diagonal, upper

    def forward(self, x):
        if x.ndim < 2:
            raise ValueError(f"{'triu' if self.upper else 'tril'}: got shape {x.shape}, expected at least 2 dimensions")
        y = self.new(x.shape)
        self.sizes = [math.prod(x.shape[:-2]), *x.shape[-2:], self.diagonal, self.upper]
        self.call(K.triangle, [y], [x], self.sizes)
        return y

    def backward(self, dy):
        self.call(K.triangle, [self.grad()], [dy], self.sizes)


def tril(input, diagonal=0):
    """The lower triangle of the last two dimensions, up to `diagonal`; zeros elsewhere."""
    return Triangle(diagonal, upper=False).apply(input)


def triu(input, diagonal=0):
    """The upper triangle of the last two dimensions, from `diagonal` on; zeros elsewhere."""
    return Triangle(diagonal, upper=True).apply(input)


class OneHot(Node):
    """y[n, c] = 1 where c = index[n], else 0; no gradient."""

    name = "one_hot"

    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes

    def forward(self, index):
        y = self.new((*index.shape, self.num_classes))
        self.call(K.one_hot, [y], [index], [index.array.size, self.num_classes])
        return y

    def explain_index(self, call):
        index, classes = call.inputs[0], call.sizes[1]
        at = tuple(np.argwhere((index < 0) | (index >= classes))[0].tolist())
        return f"index{list(at)} is {index[at]}, expected 0 <= index < {classes} (num_classes)"


def one_hot(tensor, num_classes=-1):
    """Rows of zeros with a one at the index.

    Parameters
    ----------
    tensor : int64 Tensor, any shape
    num_classes : int
        -1: one more than the largest index.

    Returns
    -------
    int64 Tensor, shape (*tensor.shape, num_classes)
    """
    index = as_index("one_hot", tensor)
    if num_classes == -1:
        index.check_readable("one_hot() without num_classes")
        if not index.array.size:
            raise ValueError("one_hot: an empty tensor has no largest index; pass num_classes=")
        num_classes = int(index.array.max()) + 1
    if num_classes < 1:
        raise ValueError(f"one_hot: num_classes: got {num_classes}, expected at least 1")
    return OneHot(num_classes).apply(index)
