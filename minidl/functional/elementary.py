"""Elementary functions. Integers become float32, except where the result of an integer is one."""

import math

import numpy as np

from minidl.engine import Tensor, memory
from minidl.engine.tensor import FLOATS
from minidl.functional import _backward as B
from minidl.functional import arithmetic
from minidl.functional._elementwise import Elementwise
from minidl.functional._shapes import plan_of, promote, real
from minidl.kernels import activation as K
from minidl.kernels import arithmetic as binary
from minidl.kernels import elementwise
from minidl.kernels.kernel import Kernel


class Exp(Elementwise):
    """y = exp x;  dx = dy y."""

    def forward(self, x):
        y = self.unary(K.exp, x)
        self.y = y.array
        return y

    def backward(self, dy):
        self.flow(0, dy, B.elementwise.multiply, self.y)


class Log(Elementwise):
    """y = log x;  dx = dy / x."""

    def forward(self, x):
        self.x = x.array
        return self.unary(K.log, x)

    def backward(self, dy):
        self.flow(0, dy, B.elementwise.divide, self.x)


class Abs(Elementwise):
    """y = |x|;  dx = dy sign x."""

    def forward(self, x):
        self.x = x.array
        return self.unary(K.abs, x)

    def backward(self, dy):
        sign = memory.empty(dy.shape, dy.dtype)
        self.call(K.sign, [sign], [self.x], [sign.size])
        self.flow(0, dy, B.elementwise.multiply, sign)


class Neg(Elementwise):
    """y = -x;  dx = -dy."""

    def forward(self, x):
        return self.unary(K.neg, x)

    def backward(self, dy):
        self.flow(0, dy, scale=-1.0)


class Log1p(Elementwise):
    """y = log(1 + x);  dx = dy / (1 + x)."""

    def forward(self, x):
        self.x = x.array
        return self.unary(K.log1p, x)

    def backward(self, dy):
        self.flow(0, dy, B.elementwise.divide, one_more(self, self.x))


class Expm1(Elementwise):
    """y = exp x - 1;  dx = dy (y + 1)."""

    def forward(self, x):
        y = self.unary(K.expm1, x)
        self.y = y.array
        return y

    def backward(self, dy):
        self.flow(0, dy, B.elementwise.multiply, one_more(self, self.y))


class Slope(Elementwise):
    """y = f(x), d = f'(x) from the same kernel;  dx = dy d."""

    kernel: Kernel

    def forward(self, x):
        y = self.new(x.shape)
        self.d = memory.empty(x.shape, x.dtype) if self.tracked else None
        self.call(self.kernel, [y, self.d], [x], [x.array.size])
        return y

    def backward(self, dy):
        self.flow(0, dy, B.elementwise.multiply, self.d)


class Sin(Slope):
    """y = sin x;  dx = dy cos x."""

    kernel = K.sin


class Cos(Slope):
    """y = cos x;  dx = -dy sin x."""

    kernel = K.cos


class Erf(Slope):
    """y = erf x;  dx = dy 2 / sqrt(pi) exp(-x^2)."""

    kernel = K.erf


class Sign(Elementwise):
    """y = sign x;  dx = 0."""

    def forward(self, x):
        return self.unary(K.sign, x)

    def backward(self, dy):
        self.call(elementwise.fill, [self.grad()], [], [dy.size], [0.0])


class Clamp(Elementwise):
    """y = x moved into [low, high];  dx = dy where low <= x <= high, else 0."""

    def __init__(self, low, high):
        super().__init__()
        self.limits = low, high

    def forward(self, x):
        self.x = x.array
        y = self.new(x.shape)
        self.call(K.clamp, [y], [x], [x.array.size], self.limits)
        return y

    def backward(self, dy):
        self.call(B.elementwise.clamp, [self.grad()], [dy, self.x], [dy.size], self.limits)


def one_more(node, x):
    """x + 1 in memory of its own."""
    y, one = memory.empty(x.shape, x.dtype), np.ones((), x.dtype)
    node.call(binary.add, [y], [x, one], plan_of(y, x, one))
    return y


def exp(input):
    """e ** input, elementwise.

    Parameters
    ----------
    input : Tensor, any shape

    Returns
    -------
    Tensor of the same shape
    """
    return Exp().apply(real(input))


def log(input):
    """Natural logarithm; -Inf at 0, NaN below; like `exp`."""
    return Log().apply(real(input))


def sin(input):
    """Sine of an angle in radians; like `exp`."""
    return Sin().apply(real(input))


def cos(input):
    """Cosine of an angle in radians; like `exp`."""
    return Cos().apply(real(input))


def log1p(input):
    """log(1 + input), accurate near 0; like `exp`."""
    return Log1p().apply(real(input))


def expm1(input):
    """exp(input) - 1, accurate near 0; like `exp`."""
    return Expm1().apply(real(input))


def erf(input):
    """Error function; like `exp`."""
    return Erf().apply(real(input))


def abs(input):
    """Absolute value; the gradient at 0 is 0; like `exp`, but integers stay integers."""
    (input,) = promote(input)
    return Abs().apply(input) if input.dtype in FLOATS else arithmetic.maximum(input, neg(input))


def neg(input):
    """-input; like `exp`, but integers stay integers."""
    (input,) = promote(input)
    return Neg().apply(input) if input.dtype in FLOATS else arithmetic.mul(input, -1)


def sign(input):
    """-1, 0 or 1, NaN for NaN; like `exp`, but integers stay integers. The gradient is 0."""
    (input,) = promote(input)
    return Sign().apply(input) if input.dtype in FLOATS else clamp(input, -1, 1)


def clamp(input, min=None, max=None):
    """`input` moved into [min, max]; NaN stays NaN.

    Parameters
    ----------
    input : Tensor, any shape
    min, max : number or Tensor, optional
        Limits; if min > max the result is max. At least one.

    Returns
    -------
    Tensor of the same shape, or of the common one where a limit is a tensor

    Raises
    ------
    ValueError
        If there is no limit, or one is NaN.
    """
    if min is None and max is None:
        raise ValueError("clamp: got neither min nor max, expected at least one")
    limits = [limit for limit in (min, max) if limit is not None]
    input, *limits = promote(input, *limits)
    if input.dtype in FLOATS and not any(isinstance(limit, Tensor) for limit in (min, max)):
        low = -math.inf if min is None else float(min)
        high = math.inf if max is None else float(max)
        if math.isnan(low) or math.isnan(high):
            raise ValueError(f"clamp: got min {min} and max {max}, expected numbers")
        return Clamp(low, high).apply(input)
    from minidl.functional.comparison import ge, le, where  # which imports this module

    if min is not None:  # what lies on a limit keeps its gradient
        low = limits.pop(0)
        input = where(ge(input, low), input, arithmetic.maximum(input, low))
    if max is not None:
        input = where(le(input, limits[0]), input, arithmetic.minimum(input, limits[0]))
    return input
