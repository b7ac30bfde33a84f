"""Powers: the general one, and those with a faster and more accurate kernel of their own."""

from minidl.engine import memory
from minidl.engine.tensor import FLOATS
from minidl.functional import _backward as B
from minidl.functional._elementwise import Elementwise
from minidl.functional._shapes import is_number, plan_of, promote, real
from minidl.functional.arithmetic import mul
from minidl.kernels import activation, arithmetic


class Square(Elementwise):
    """y = x^2;  dx = 2 dy x."""

    def forward(self, x):
        self.x = x.array
        return self.unary(activation.square, x)

    def backward(self, dy):
        self.flow(0, dy, B.elementwise.multiply, self.x, scale=2.0)


class Sqrt(Elementwise):
    """y = sqrt x;  dx = dy / (2 y)."""

    def forward(self, x):
        y = self.unary(activation.sqrt, x)
        self.y = y.array
        return y

    def backward(self, dy):
        self.flow(0, dy, B.elementwise.divide, self.y, scale=0.5)


class Reciprocal(Elementwise):
    """y = 1 / x;  dx = -dy y / x."""

    def forward(self, x):
        y = self.unary(activation.reciprocal, x)
        self.x, self.y = x.array, y.array
        return y

    def backward(self, dy):
        product = memory.empty(dy.shape, dy.dtype)
        self.call(B.elementwise.multiply, [product], [dy, self.y], plan_of(product, dy, self.y), [-1.0])
        self.flow(0, product, B.elementwise.divide, self.x)


class Pow(Elementwise):
    """y = a^b;  da = dy b a^(b - 1),  db = dy y log a."""

    def forward(self, a, b):
        self.a, self.b = a.array, b.array
        return self.map(arithmetic.pow, a, b)

    def backward(self, dy):
        self.flow_partial(0, dy, arithmetic.pow_base, self.a, self.b)
        self.flow_partial(1, dy, arithmetic.pow_exponent, self.a, self.b)


def square(input):
    """input ** 2; like `exp`, but integers stay integers."""
    (input,) = promote(input)
    return Square().apply(input) if input.dtype in FLOATS else mul(input, input)


def sqrt(input):
    """Square root; NaN below 0, infinite slope at 0; like `exp`."""
    return Sqrt().apply(real(input))


def rsqrt(input):
    """1 / sqrt(input); like `exp`."""
    return reciprocal(sqrt(input))


def reciprocal(input):
    """1 / input; like `exp`."""
    return Reciprocal().apply(real(input))


def pow(input, exponent):
    """input ** exponent; like `add`, but the result is always a float.

    A negative base with a fractional exponent gives NaN.
    """
    a, b = promote(input, exponent, real=True)
    if is_number(exponent) and float(exponent) in SHORTCUTS:
        return SHORTCUTS[float(exponent)](a)
    return Pow().apply(a, b)


# exponents with a faster and more accurate function of their own
SHORTCUTS = {2.0: square, 0.5: sqrt, -1.0: reciprocal, -0.5: rsqrt}
