import importlib
import math

import numpy as np
from op_table import Op, apart, normal

from minidl import functional as F

UNARY = [((3, 4),), ((1,),), ((),), ((0, 4),), ((5, 33),)]


def sigmoid(x):
    return np.where(x > 0, 1, np.exp(-np.abs(x))) / (1 + np.exp(-np.abs(x)))


def softplus(x, beta=1.0, threshold=20.0):
    smooth = (np.log1p(np.exp(-np.abs(beta * x))) + np.maximum(beta * x, 0)) / beta
    return np.where(beta * x > threshold, x, smooth)


def gelu(x, approximate="none"):
    if approximate == "tanh":
        return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return x / 2 * (1 + np.vectorize(math.erf, otypes=[float])(x / np.sqrt(2)))


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def hardsigmoid(x):
    return np.clip((x + 3) / 6, 0, 1)


def leaky_relu(x, negative_slope=0.01):
    return np.where(x > 0, x, negative_slope * x)


def hardtanh(x, min_val=-1.0, max_val=1.0):
    return np.clip(x, min_val, max_val)


def shifted(rng, shape):
    """Numbers not near the kinks of the piecewise activations: 0, 1, 3, 6 and their negatives."""
    return apart(rng, shape) + 0.0123


def op(function, reference, sample=normal, label="", torch=None, **options):
    """An activation with these options; PyTorch's has the same name and options."""

    def theirs(x):
        return getattr(importlib.import_module("torch.nn.functional"), function.__name__)(x, **options)

    name = function.__name__ + label
    return Op(name, lambda x: function(x, **options), lambda x: reference(x, **options), UNARY, sample, torch or theirs)


def prelu(x, w):
    channels = w.reshape(1, -1, *[1] * (x.ndim - 2)) if w.size > 1 else w
    return np.where(x > 0, x, channels * x)


SLOPES = [
    ((3, 4), (4,)),
    ((3, 4), (1,)),
    ((1, 1), (1,)),
    ((2, 3, 5), (3,)),
    ((5,), (1,)),
    ((0, 4), (4,)),
    ((2, 3, 0), (3,)),
]

OPS = [
    op(F.relu, lambda x: np.maximum(x, 0), apart),
    op(F.leaky_relu, leaky_relu, apart),
    op(F.leaky_relu, leaky_relu, apart, "-slope", negative_slope=0.3),
    Op("prelu", F.prelu, prelu, SLOPES, [apart, normal], lambda x, w: importlib.import_module("torch").prelu(x, w)),
    op(F.elu, elu, apart),
    op(F.celu, lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha)), apart),
    op(
        F.celu,
        lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha)),
        apart,
        " alpha",
        alpha=2.0,
    ),
    op(F.elu, elu, apart, "-alpha", alpha=0.7),
    op(F.selu, lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772), apart),
    op(F.gelu, gelu),
    op(F.gelu, gelu, label="-tanh", approximate="tanh"),
    op(F.silu, lambda x: x * sigmoid(x)),
    op(F.mish, lambda x: x * np.tanh(softplus(x))),
    op(F.softplus, softplus),
    op(F.softplus, softplus, label="-beta", beta=2.0, threshold=1.0),
    op(F.logsigmoid, lambda x: -softplus(-x, threshold=np.inf)),
    op(F.sigmoid, sigmoid),
    op(F.tanh, np.tanh),
    op(F.hardtanh, hardtanh, shifted),
    op(F.hardtanh, hardtanh, shifted, "-range", min_val=-0.5, max_val=2.0),
    op(F.relu6, lambda x: np.clip(x, 0, 6), shifted),
    # PyTorch rounds the slope 1/6 to float32 even in float64
    op(F.hardsigmoid, hardsigmoid, shifted, torch=lambda x: (x / 6 + 0.5).clamp(0, 1)),
    op(F.hardswish, lambda x: x * hardsigmoid(x), shifted),
    op(F.softsign, lambda x: x / (1 + np.abs(x))),
]
