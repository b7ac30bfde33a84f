"""Arithmetic, elementary functions, casts and selection."""

import math

import numpy as np
from op_table import Op, apart, normal, positive

from minidl import functional as F

SHAPES = [((3, 4),), ((1,),), ((),), ((0, 4),), ((5, 33),)]
PAIRS = [
    ((3, 4), (3, 4)),
    ((1,), (1,)),
    ((), ()),
    ((0, 4), (0, 4)),
    ((5, 33), (33,)),  # rows
    ((5, 3), (5, 1)),  # columns
    ((4, 1), (1, 3)),  # outer
    ((2, 3, 4), ()),  # a scalar
    ((), (3, 2)),
    ((2, 3, 4), (3, 1)),  # the middle, as channels
    ((3, 1, 4, 1), (2, 1, 5)),  # in turns
    ((0, 4), (1, 4)),
    ((0, 1), (1, 4)),
    ((300,), (1,)),  # longer than a chunk of a repeated operand
]
erf = np.vectorize(math.erf, otypes=[float])


def torch(name):
    """A function of the same name in PyTorch."""
    return lambda *args: getattr(__import__("torch"), name)(*args)


def binary(name, function, reference, sample=normal):
    return Op(name, function, reference, PAIRS, sample, torch=torch(name))


def unary(name, function, reference, sample=normal):
    return Op(name, function, reference, SHAPES, sample, torch=torch(name))


OPS = [
    binary("add", F.add, np.add),
    binary("sub", F.sub, np.subtract),
    binary("mul", F.mul, np.multiply),
    binary("div", F.div, np.divide, [normal, positive]),
    binary("pow", F.pow, np.power, [positive, normal]),
    Op("maximum", F.maximum, np.maximum, PAIRS, [apart, normal], torch=torch("maximum")),
    Op("minimum", F.minimum, np.minimum, PAIRS, [apart, normal], torch=torch("minimum")),
    Op("add alpha", lambda x, y: F.add(x, y, alpha=3), lambda x, y: x + 3 * y, PAIRS[:1], torch=lambda x, y: x.add(y, alpha=3)),
    Op("sub alpha", lambda x, y: F.sub(x, y, alpha=3), lambda x, y: x - 3 * y, PAIRS[:1], torch=lambda x, y: x.sub(y, alpha=3)),
    Op("radd", lambda x: 2.5 + x, lambda x: 2.5 + x, SHAPES, torch=lambda x: 2.5 + x),
    Op("rsub", lambda x: 2.5 - x, lambda x: 2.5 - x, SHAPES, torch=lambda x: 2.5 - x),
    Op("rmul", lambda x: 2.5 * x, lambda x: 2.5 * x, SHAPES, torch=lambda x: 2.5 * x),
    Op("rdiv", lambda x: 2.5 / x, lambda x: 2.5 / x, SHAPES, positive, torch=lambda x: 2.5 / x),
    Op("rpow", lambda x: 2.5**x, lambda x: 2.5**x, SHAPES, torch=lambda x: 2.5**x),
    *[
        Op(f"pow {e}", lambda x, e=e: x**e, lambda x, e=e: x**e, SHAPES, positive, torch=lambda x, e=e: x**e)
        for e in (3, 2, 1, 0, 0.5, -0.5, -1, 1.7)
    ],
    unary("exp", F.exp, np.exp),
    unary("log", F.log, np.log, positive),
    unary("sqrt", F.sqrt, np.sqrt, positive),
    unary("rsqrt", F.rsqrt, lambda x: x**-0.5, positive),
    unary("reciprocal", F.reciprocal, np.reciprocal, positive),
    unary("square", F.square, np.square),
    unary("abs", F.abs, np.abs, apart),
    unary("neg", F.neg, np.negative),
    unary("sin", F.sin, np.sin),
    unary("cos", F.cos, np.cos),
    unary("log1p", F.log1p, np.log1p, positive),
    unary("expm1", F.expm1, np.expm1),
    unary("erf", F.erf, erf),
    unary("sign", F.sign, np.sign, apart),
    Op("clamp", lambda x: F.clamp(x, -0.3, 0.4), lambda x: np.clip(x, -0.3, 0.4), SHAPES, apart, torch=lambda x: x.clamp(-0.3, 0.4)),
    Op("clamp min", lambda x: x.clamp(min=0.2), lambda x: np.maximum(x, 0.2), SHAPES, apart, torch=lambda x: x.clamp(min=0.2)),
    Op("clamp max", lambda x: x.clamp(max=0.2), lambda x: np.minimum(x, 0.2), SHAPES, apart, torch=lambda x: x.clamp(max=0.2)),
    Op("clamp tensor", lambda x, y: F.clamp(x, y), np.maximum, PAIRS, [apart, normal], torch=lambda x, y: x.clamp(y)),
    Op(
        "where",
        lambda x, y: F.where(np.arange(4) % 2 == 0, x, y),
        lambda x, y: np.where(np.arange(4) % 2 == 0, x, y),
        [((3, 4), (3, 4)), ((4,), (3, 1)), ((), ()), ((0, 4), (4,)), ((2, 3, 4), (3, 4)), ((1,), (1,))],
        torch=lambda x, y: __import__("torch").where(__import__("torch").arange(4) % 2 == 0, x, y),
    ),
    Op(
        "where rows",
        lambda x, y: F.where(np.arange(3)[:, None] == 1, x, y),
        lambda x, y: np.where(np.arange(3)[:, None] == 1, x, y),
        [((3, 4), (3, 4)), ((4,), (3, 1)), ((), ()), ((2, 3, 1), (4,))],
    ),
    Op("cast", lambda x: (x.double() * 2).to(x), lambda x: x * 2, SHAPES, torch=lambda x: (x.double() * 2).to(x)),
    *[
        Op(name, getattr(F, name), reference, PAIRS, differentiable=False, torch=torch(name))
        for name, reference in [
            ("eq", np.equal), ("ne", np.not_equal), ("lt", np.less), ("le", np.less_equal), ("gt", np.greater), ("ge", np.greater_equal),
            ("logical_and", np.logical_and), ("logical_or", np.logical_or),
        ]
    ],
    *[
        Op(name, getattr(F, name), reference, SHAPES, differentiable=False, torch=torch(name))
        for name, reference in [
            ("logical_not", np.logical_not), ("isnan", np.isnan), ("isinf", np.isinf), ("isfinite", np.isfinite),
        ]
    ],
]  # fmt: skip
