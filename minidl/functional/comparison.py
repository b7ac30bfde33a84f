"""Comparisons and logic: results are bool and carry no gradient. `where` selects by them."""

import math

import numpy as np

from minidl.engine import as_tensor
from minidl.functional import _backward as B
from minidl.functional._elementwise import Elementwise
from minidl.functional._shapes import promote
from minidl.functional.cast import cast
from minidl.functional.elementary import abs
from minidl.kernels import arithmetic as K

BOOL = np.dtype(np.bool_)


class Eq(Elementwise):
    """y = (a = b)."""

    def forward(self, a, b):
        return self.map(K.eq, a, b, dtype=BOOL)


class Ne(Elementwise):
    """y = (a != b)."""

    def forward(self, a, b):
        return self.map(K.ne, a, b, dtype=BOOL)


class Lt(Elementwise):
    """y = (a < b)."""

    def forward(self, a, b):
        return self.map(K.lt, a, b, dtype=BOOL)


class Le(Elementwise):
    """y = (a <= b)."""

    def forward(self, a, b):
        return self.map(K.le, a, b, dtype=BOOL)


class Gt(Elementwise):
    """y = (a > b)."""

    def forward(self, a, b):
        return self.map(K.lt, b, a, dtype=BOOL)


class Ge(Elementwise):
    """y = (a >= b)."""

    def forward(self, a, b):
        return self.map(K.le, b, a, dtype=BOOL)


class Where(Elementwise):
    """y = a where the condition holds, else b;  da = dy there, db = dy elsewhere, 0 otherwise."""

    def forward(self, condition, a, b):
        self.condition = condition.array
        return self.map(K.where, condition, a, b)

    def backward(self, dy):
        self.flow(1, dy, B.elementwise.select, self.condition, scale=1.0)
        self.flow(2, dy, B.elementwise.select, self.condition, scale=0.0)


def eq(input, other):
    """input == other, elementwise; NaN equals nothing.

    Parameters
    ----------
    input, other : Tensor, array or number, of shapes that broadcast

    Returns
    -------
    bool Tensor of the common shape
    """
    return Eq().apply(*promote(input, other))


def ne(input, other):
    """input != other; like `eq`."""
    return Ne().apply(*promote(input, other))


def lt(input, other):
    """input < other; like `eq`."""
    return Lt().apply(*promote(input, other))


def le(input, other):
    """input <= other; like `eq`."""
    return Le().apply(*promote(input, other))


def gt(input, other):
    """input > other; like `eq`."""
    return Gt().apply(*promote(input, other))


def ge(input, other):
    """input >= other; like `eq`."""
    return Ge().apply(*promote(input, other))


def where(condition, input, other):
    """`input` where the condition holds, `other` elsewhere.

    What is not selected gets the gradient 0, even where it is NaN or Inf.

    Parameters
    ----------
    condition : bool Tensor
    input, other : Tensor, array or number
        All three broadcast.

    Returns
    -------
    Tensor of the common shape
    """
    condition = as_tensor(condition)
    if condition.dtype != BOOL:
        raise TypeError(f"where: condition: got dtype {condition.dtype}, expected bool")
    return Where().apply(condition, *promote(input, other))


def logical_and(input, other):
    """Whether both are nonzero; like `eq`."""
    return where(cast(input, bool), cast(other, bool), False)


def logical_or(input, other):
    """Whether one of them is nonzero; like `eq`."""
    return where(cast(input, bool), True, cast(other, bool))


def logical_not(input):
    """Whether `input` is zero; like `eq`."""
    return eq(input, 0)


def isnan(input):
    """Whether `input` is NaN; like `eq`."""
    return ne(input, input)


def isinf(input):
    """Whether `input` is Inf or -Inf; like `eq`."""
    return eq(abs(input), math.inf)


def isfinite(input):
    """Whether `input` is neither NaN nor Inf; like `eq`."""
    return lt(abs(input), math.inf)
