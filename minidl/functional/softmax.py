"""Softmax and log_softmax along one dimension."""

from math import prod

from minidl.engine import Node, memory
from minidl.functional import _backward as B
from minidl.kernels import activation
from minidl.kernels import softmax as K


def split_at(name, shape, dim):
    """Sizes (before, at, after) of a dimension: every array is [outer, K, inner] to a kernel."""
    ndim = max(len(shape), 1)  # a 0-d tensor counts as one dimension of size 1, as in PyTorch
    if not isinstance(dim, int):
        raise TypeError(f"{name}: dim: got {dim!r}, expected an int")
    if not -ndim <= dim < ndim:
        raise IndexError(f"{name}: dim: got {dim}, expected {-ndim} <= dim < {ndim} for shape {shape}")
    dim %= ndim
    return prod(shape[:dim]), prod(shape[dim : dim + 1]), prod(shape[dim + 1 :])


class Softmax(Node):
    """y = exp(x) / sum exp(x);  dx = y (dy - sum of y dy)."""

    takes_masks = True

    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        self.sizes = split_at(self.name, x.shape, self.dim)
        y = self.new(x.shape)
        self.call(K.softmax, [y], [x], self.sizes)
        self.y = y.array
        return y

    def backward(self, dy):
        self.call(B.softmax.softmax, [self.grad()], [dy, self.y], self.sizes, [1.0])


class Softmin(Softmax):
    """y = softmax(-x);  dx = -y (dy - sum of y dy)."""

    def forward(self, x):
        opposite = memory.empty(x.shape, x.dtype)
        self.call(activation.neg, [opposite], [x], [opposite.size])
        return super().forward(opposite)

    def backward(self, dy):
        self.call(B.softmax.softmax, [self.grad()], [dy, self.y], self.sizes, [-1.0])


class LogSoftmax(Node):
    """y = x - log sum exp(x);  dx = dy - softmax(x) (sum of dy)."""

    name = "log_softmax"
    takes_masks = True

    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        self.sizes = split_at(self.name, x.shape, self.dim)
        y, self.softmax = self.new(x.shape), memory.empty(x.shape, x.dtype)
        self.call(K.log_softmax, [y, self.softmax], [x], self.sizes)
        return y

    def backward(self, dy):
        self.call(B.softmax.log_softmax, [self.grad()], [dy, self.softmax], self.sizes)


def softmax(input, dim):
    """exp(input), divided by its sum along `dim`.

    A slice that holds a NaN or a +Inf, or only -Inf, becomes NaN.

    Parameters
    ----------
    input : Tensor, any shape
    dim : int

    Returns
    -------
    Tensor of the same shape

    Raises
    ------
    IndexError
        If there is no such dimension.
    """
    return Softmax(dim).apply(input)


def log_softmax(input, dim):
    """The logarithm of `softmax`, without the loss of precision of computing it in two steps.

    Parameters
    ----------
    input : Tensor, any shape
    dim : int

    Returns
    -------
    Tensor of the same shape
    """
    return LogSoftmax(dim).apply(input)


def softmin(input, dim):
    """softmax(-input, dim).

    Parameters
    ----------
    input : Tensor, any shape
    dim : int

    Returns
    -------
    Tensor of the same shape
    """
    return Softmin(dim).apply(input)
