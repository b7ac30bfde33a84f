"""Arithmetic of two operands: sums, products, extremes.

Operands broadcast as in NumPy and are promoted as in PyTorch: of two tensors the wider dtype counts (0-d tensors and
Python numbers only where they are of a higher kind: an integer tensor plus a float is float32).
"""

from minidl.engine import memory
from minidl.functional import _backward as B
from minidl.functional._elementwise import Elementwise
from minidl.functional._shapes import plan_of, promote
from minidl.kernels import arithmetic as K


class Add(Elementwise):
    """y = a + b;  da = dy,  db = dy."""

    def forward(self, a, b):
        return self.map(K.add, a, b)

    def backward(self, dy):
        self.flow(0, dy)
        self.flow(1, dy)


class Sub(Elementwise):
    """y = a - b;  da = dy,  db = -dy."""

    def forward(self, a, b):
        return self.map(K.sub, a, b)

    def backward(self, dy):
        self.flow(0, dy)
        self.flow(1, dy, scale=-1.0)


class Mul(Elementwise):
    """y = a b;  da = dy b,  db = dy a."""

    def forward(self, a, b):
        self.a, self.b = a.array, b.array
        return self.map(K.mul, a, b)

    def backward(self, dy):
        self.flow(0, dy, B.elementwise.multiply, self.b)
        self.flow(1, dy, B.elementwise.multiply, self.a)


class Div(Elementwise):
    """y = a / b;  da = dy / b,  db = -dy y / b."""

    def forward(self, a, b):
        y = self.map(K.div, a, b)
        self.y, self.b = y.array, b.array
        return y

    def backward(self, dy):
        self.flow(0, dy, B.elementwise.divide, self.b)
        if self.inputs[1].requires_grad:
            product = memory.empty(dy.shape, dy.dtype)
            self.call(B.elementwise.multiply, [product], [dy, self.y], plan_of(product, dy, self.y), [-1.0])
            self.flow(1, product, B.elementwise.divide, self.b)


class Maximum(Elementwise):
    """y = max(a, b);  da = dy where a > b, half of it where a = b;  db alike."""

    def forward(self, a, b):
        self.a, self.b = a.array, b.array
        return self.map(K.maximum, a, b)

    def backward(self, dy):
        self.flow_partial(0, dy, K.larger, self.a, self.b)
        self.flow_partial(1, dy, K.larger, self.b, self.a)


class Minimum(Elementwise):
    """y = min(a, b);  da = dy where a < b, half of it where a = b;  db alike."""

    def forward(self, a, b):
        self.a, self.b = a.array, b.array
        return self.map(K.minimum, a, b)

    def backward(self, dy):
        self.flow_partial(0, dy, K.larger, self.b, self.a)
        self.flow_partial(1, dy, K.larger, self.a, self.b)


def no_bools(name, tensors):
    """TypeError for bool tensors, for which the operation has no meaning."""
    if tensors[0].dtype == bool:
        raise TypeError(f"{name}: got bool operands, expected numbers; use logical_and, logical_or or a cast")
    return tensors


def add(input, other, *, alpha=1):
    """input + alpha * other.

    Parameters
    ----------
    input, other : Tensor, array or number, of shapes that broadcast
    alpha : number

    Returns
    -------
    Tensor of the common shape
    """
    other = other if alpha == 1 else mul(other, alpha)
    return Add().apply(*no_bools("add", promote(input, other)))


def sub(input, other, *, alpha=1):
    """input - alpha * other; like `add`."""
    other = other if alpha == 1 else mul(other, alpha)
    return Sub().apply(*no_bools("sub", promote(input, other)))


def mul(input, other):
    """input * other; like `add`."""
    return Mul().apply(*no_bools("mul", promote(input, other)))


def div(input, other):
    """input / other, the true quotient: integers become float32; like `add`.

    Division by zero gives Inf or NaN.
    """
    return Div().apply(*promote(input, other, real=True))


def maximum(input, other):
    """The larger of the two, NaN where one is; like `add`. Equal operands get half of the gradient each."""
    return Maximum().apply(*no_bools("maximum", promote(input, other)))


def minimum(input, other):
    """The smaller of the two, NaN where one is; like `add`. Equal operands get half of the gradient each."""
    return Minimum().apply(*no_bools("minimum", promote(input, other)))
