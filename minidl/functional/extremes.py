"""Extremes, where they are, and whether there is one: largest, smallest, any, all.

`dim` and `keepdim` are as in `reduce`.
"""

from collections import namedtuple

import numpy as np

from minidl.engine import Tensor, memory
from minidl.functional import _backward as B
from minidl.functional._elementwise import sum_to
from minidl.functional._reduction import Reduction, integer_dim
from minidl.functional._shapes import passes, plan_of
from minidl.functional.arithmetic import maximum, minimum
from minidl.functional.cast import KERNELS, cast
from minidl.functional.comparison import logical_not
from minidl.kernels import arithmetic
from minidl.kernels import reduce as K

Extremes = namedtuple("Extremes", "values indices")


class Amax(Reduction):
    """y = max of x;  dx = dy / c at the c places where x = y, else 0."""

    kernel = K.amax

    def forward(self, x):
        y = self.fold_not_empty(self.kernel, x)
        self.x, self.y = x.array, y.array
        return y

    def backward(self, dy):
        x, y, dy, dx = self.x, self.aligned(self.y), self.aligned(dy), self.grad()
        equal = memory.empty(x.shape, np.bool_)
        count, share = memory.empty(y.shape, y.dtype), memory.empty(y.shape, y.dtype)
        self.call(arithmetic.eq, [equal], [x, y], plan_of(equal, x, y), dtype=x.dtype)
        self.call(KERNELS[x.dtype], [dx], [equal], [x.size], dtype=equal.dtype)
        sum_to(self, count, dx)
        self.call(arithmetic.div, [share], [dy, count], plan_of(share, dy, count))
        self.call(B.elementwise.multiply, [dx], [dx, share], plan_of(dx, dx, share), [1.0])


class Amin(Amax):
    """y = min of x;  dx = dy / c at the c places where x = y, else 0."""

    kernel = K.amin


class Max(Reduction):
    """y = max of x, first at index k;  dx[k] = dy, else 0."""

    kernel = K.amax

    def forward(self, x):
        y = self.fold_not_empty(self.kernel, x)
        index = self.new(y.shape, np.int64)
        self.sizes, self.index = passes(x.shape, self.dims)[0], index.array
        self.call(K.find, [index], [x, y], self.sizes, dtype=x.dtype)
        return Extremes(y, index)

    def backward(self, dy):
        self.call(B.reduce.at_index, [self.grad()], [dy, self.index], self.sizes)


class Min(Max):
    """y = min of x, first at index k;  dx[k] = dy, else 0."""

    kernel = K.amin


class Argmax(Max):
    """y = first k where x is largest."""

    def forward(self, x):
        return super().forward(x).indices


class Argmin(Min):
    """y = first k where x is smallest."""

    def forward(self, x):
        return super().forward(x).indices


class Any(Reduction):
    """y = 1 if there is an x that is 1, else 0."""

    def forward(self, x):
        return self.fold(K.amax, x)


def amax(input, dim=None, keepdim=False):
    """Largest element over `dim`, NaN where there is one; like `sum`, but a ValueError for no elements.

    Equal ones share the gradient.
    """
    return Amax(dim, keepdim).apply(input)


def amin(input, dim=None, keepdim=False):
    """Smallest element over `dim`; like `amax`."""
    return Amin(dim, keepdim).apply(input)


def max(input, dim=None, keepdim=False):
    """Largest element: of all, over one dimension, or of two tensors.

    Parameters
    ----------
    input : Tensor
    dim : int or Tensor, optional
        A tensor makes it `maximum`.
    keepdim : bool

    Returns
    -------
    Tensor, or with `dim` (values, indices)
        The index is that of the first of equal ones, or of the first NaN. Without `dim` equal ones share the gradient.
    """
    if isinstance(dim, Tensor):
        return maximum(input, dim)
    return amax(input) if dim is None else Max(integer_dim("max", dim), keepdim).apply(input)


def min(input, dim=None, keepdim=False):
    """Smallest element; like `max`."""
    if isinstance(dim, Tensor):
        return minimum(input, dim)
    return amin(input) if dim is None else Min(integer_dim("min", dim), keepdim).apply(input)


def argmax(input, dim=None, keepdim=False):
    """Index of the first largest element over one dimension, or in the flattened tensor; like `max`."""
    if dim is not None:
        integer_dim("argmax", dim)
    return Argmax(dim, keepdim).apply(input)


def argmin(input, dim=None, keepdim=False):
    """Index of the first smallest element; like `argmax`."""
    if dim is not None:
        integer_dim("argmin", dim)
    return Argmin(dim, keepdim).apply(input)


def any(input, dim=None, keepdim=False):
    """Whether an element over `dim` is nonzero, as a bool tensor; like `sum`."""
    return Any(dim, keepdim).apply(cast(input, bool))


def all(input, dim=None, keepdim=False):
    """Whether all elements over `dim` are nonzero; like `any`."""
    return logical_not(any(logical_not(input), dim, keepdim))
