"""Sums and what is made of them: means, moments, norms, products.

`dim` is None (all dimensions), an integer or a tuple; negative ones count from the end. With `keepdim` the reduced
dimensions stay with size 1.
"""

import math

import numpy as np

from minidl.engine import as_tensor, memory, no_grad
from minidl.engine.tensor import FLOATS
from minidl.functional import _backward as B
from minidl.functional._reduction import Reduction, count, integer_dim
from minidl.functional._shapes import passes, plan_of, real
from minidl.functional.arithmetic import add, div, sub
from minidl.functional.cast import cast
from minidl.functional.comparison import isfinite, ne, where
from minidl.functional.elementary import abs, exp, log
from minidl.functional.extremes import amax, amin
from minidl.functional.power import pow, square
from minidl.kernels import reduce as K


class Sum(Reduction):
    """y = sum of x / divisor;  dx = dy / divisor."""

    def __init__(self, dim, keepdim, divisor=1.0):
        super().__init__(dim, keepdim)
        self.divisor = divisor

    def forward(self, x):
        return self.fold(K.sum, x, self.divisor)

    def backward(self, dy):
        dx = self.grad()
        dy = self.aligned(dy)
        self.call(B.elementwise.scale, [dx], [dy], plan_of(dx, dy), [1 / self.divisor if self.divisor else math.inf])


class Mean(Sum):
    """y = sum of x / N;  dx = dy / N."""

    def forward(self, x):
        self.divisor = count(self.name, x, self.dim)
        return super().forward(x)


class Norm(Reduction):
    """y = sqrt(sum of x^2);  dx = dy x / y, 0 where y = 0."""

    def forward(self, x):
        y = self.fold(K.norm, x)
        self.x, self.y = x.array, y.array
        return y

    def backward(self, dy):
        quotient = memory.empty(dy.shape, dy.dtype)
        self.call(B.reduce.quotient_or_zero, [quotient], [dy, self.y], [dy.size])
        quotient, dx = self.aligned(quotient), self.grad()
        self.call(B.elementwise.multiply, [dx], [self.x, quotient], plan_of(dx, self.x, quotient), [1.0])


class Prod(Reduction):
    """y = product of x;  dx[k] = dy times the product of all x but x[k]."""

    def forward(self, x):
        self.x = x.array
        y = self.fold(K.prod, x)
        self.sizes = passes(x.shape, self.dims)[0]
        return y

    def backward(self, dy):
        self.call(B.reduce.prod, [self.grad()], [dy, self.x], self.sizes)


def float_tensor(name, input):
    """`input` as a tensor; TypeError if it holds no floats."""
    input = as_tensor(input)
    if input.dtype not in FLOATS:
        raise TypeError(f"{name}: got dtype {input.dtype}, expected float32 or float64")
    return input


def sum(input, dim=None, keepdim=False):
    """Sum over `dim`; of nothing 0. Added in float64, so long sums stay accurate.

    Parameters
    ----------
    input : Tensor, any shape
        bool is counted as int64.
    dim : int or tuple of int, optional
        All dimensions by default.
    keepdim : bool
        Keep the reduced dimensions with size 1.

    Returns
    -------
    Tensor

    Raises
    ------
    IndexError
        If there is no such dimension.
    """
    input = as_tensor(input)
    return Sum(dim, keepdim).apply(cast(input, np.int64) if input.dtype == bool else input)


def mean(input, dim=None, keepdim=False):
    """Mean over `dim`; of nothing NaN; like `sum`, for floats only."""
    return Mean(dim, keepdim).apply(float_tensor("mean", input))


def var(input, dim=None, correction=1, keepdim=False):
    """Variance over `dim`, in two passes: sum of squared deviations from the mean / (number - correction).

    Parameters
    ----------
    input : Tensor of floats
    dim : int or tuple of int, optional
    correction : number
        1 for the unbiased estimate, 0 for the second moment of the batch.
    keepdim : bool

    Returns
    -------
    Tensor
        NaN where the number does not exceed the correction.
    """
    deviation, freedom = deviations("var", input, dim, correction)
    return Sum(dim, keepdim, freedom).apply(square(deviation))


def std(input, dim=None, correction=1, keepdim=False):
    """Standard deviation over `dim`: the root of `var`; its gradient is 0 where it is 0."""
    deviation, freedom = deviations("std", input, dim, correction)
    return div(Norm(dim, keepdim).apply(deviation), math.sqrt(freedom))


def deviations(name, input, dim, correction):
    """Deviations from the mean, and their degrees of freedom."""
    input = float_tensor(name, input)
    number = count(name, input, dim)
    with no_grad():  # deviations sum to 0, so no gradient flows through the mean
        centre = mean(input, dim, keepdim=True)
    return sub(input, centre), max(0.0, number - correction)


def norm(input, p=2, dim=None, keepdim=False):
    """p-norm of all elements along `dim`: (sum of |x|^p)^(1/p); 2 and inf never overflow on the way.

    Parameters
    ----------
    input : Tensor of floats
    p : number, math.inf, -math.inf or "fro"
        "fro" is 2; 0 counts what is not 0.
    dim : int or tuple of int, optional
    keepdim : bool

    Returns
    -------
    Tensor
        The gradient is 0 where the norm is 0.
    """
    input = float_tensor("norm", input)
    if p in (2, "fro"):
        return Norm(dim, keepdim).apply(input)
    if p == math.inf:
        return amax(abs(input), dim, keepdim)
    if p == -math.inf:
        return amin(abs(input), dim, keepdim)
    if p == 1:
        return sum(abs(input), dim, keepdim)
    if p == 0:
        return sum(cast(ne(input, 0), input.dtype), dim, keepdim)
    if isinstance(p, str) or math.isnan(p):
        raise ValueError(f"norm: p: got {p!r}, expected a number, inf, -inf or 'fro'")
    power = pow_or_zero if p > 0 else pow
    return power(sum(power(abs(input), p), dim, keepdim), 1 / p)


def pow_or_zero(x, exponent):
    """x ** exponent, 0 with gradient 0 where x is 0: its slope may be infinite there."""
    inside = ne(x, 0)
    return where(inside, pow(where(inside, x, 1.0), exponent), 0.0)


def logsumexp(input, dim, keepdim=False):
    """log(sum(exp(input))) over `dim`, without overflow: the largest element is taken out first.

    Parameters
    ----------
    input : Tensor of floats
    dim : int or tuple of int
    keepdim : bool

    Returns
    -------
    Tensor
    """
    input = real(input)
    with no_grad():
        largest = amax(input, dim, keepdim=True)
        largest = where(isfinite(largest), largest, 0.0)
    y = add(log(sum(exp(sub(input, largest)), dim, keepdim=True)), largest)
    return y if keepdim else sum(y, dim)


def prod(input, dim=None, keepdim=False):
    """Product over one dimension or all of them; of nothing 1; like `sum`."""
    if dim is not None:
        integer_dim("prod", dim)
    input = as_tensor(input)
    return Prod(dim, keepdim).apply(cast(input, np.int64) if input.dtype == bool else input)
