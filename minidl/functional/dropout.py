"""Dropout in its forms; all draw from the counter of the engine's generator, so every replay draws anew."""

import math

import numpy as np

from minidl.engine import Node, as_tensor, generator, memory
from minidl.functional import _backward as B
from minidl.kernels import random as K

SELU_FLOOR = -1.7580993408473766  # -scale * alpha of selu, its limit for x -> -inf


class Dropout(Node):
    """y = x keep / (1 - p);  dx = dy keep / (1 - p), where keep is 1 with probability 1 - p, drawn per group.

    Parameters
    ----------
    p : float or float64 ndarray of shape (1,)
        An array is shared: its value may change between the replays of a recorded step.
    inner : int
        Elements in a row that are kept or dropped together.
    """

    def __init__(self, p, inner=1):
        super().__init__()
        self.inner = inner
        self.scalars = p if isinstance(p, np.ndarray) else np.array([p], np.float64)

    forward_kernel = K.dropout
    backward_kernel = property(lambda self: B.random.dropout)

    def forward(self, x):
        if self.tracked:
            self.drawn_at = generator.counter.copy()  # to draw the same again when a NaN is looked for
        groups = x.array.size // self.inner if self.inner else 0
        self.kept, self.sizes = memory.empty(groups, np.bool_), [groups, self.inner]
        y = self.new(x.shape)
        self.call(self.forward_kernel, [y, self.kept, generator.counter], [x], self.sizes, self.scalars)
        return y

    def backward(self, dy):
        self.call(self.backward_kernel, [self.grad()], [dy, self.kept], self.sizes, self.scalars)


class AlphaDropout(Dropout):
    """y = a (x keep + floor (1 - keep)) + b;  dx = a dy keep. a and b keep mean 0 and variance 1."""

    forward_kernel = K.alpha_dropout
    backward_kernel = property(lambda self: B.random.alpha_dropout)

    def __init__(self, p, inner=1):
        super().__init__(np.array([p, SELU_FLOOR]), inner)


def dropout(input, p=0.5, training=True):
    """Zeros elements with probability `p`, and scales the others by 1 / (1 - p).

    Parameters
    ----------
    input : Tensor, any shape
    p : float
        0 <= p <= 1.
    training : bool
        False: gives `input` back.

    References
    ----------
    Srivastava et al., "Dropout: A simple way to prevent neural networks from overfitting", 2014.
    """
    return Dropout(check_probability("dropout", p)).apply(input) if training else as_tensor(input)


def alpha_dropout(input, p=0.5, training=False):
    """Dropout for selu networks: sets elements to selu's limit and keeps mean 0 and variance 1.

    References
    ----------
    Klambauer et al., "Self-normalizing neural networks", 2017.
    """
    return AlphaDropout(check_probability("alpha_dropout", p)).apply(input) if training else as_tensor(input)


def feature_dropout(input, p=0.5, training=True):
    """Dropout of whole channels of a (N, C, ...) tensor."""
    return _channels("feature_dropout", input, p, training, max(as_tensor(input).ndim, 2), batched=True)


def dropout1d(input, p=0.5, training=True):
    """Dropout of whole channels of a (N, C, L) or (C, L) tensor."""
    return _channels("dropout1d", input, p, training, 3)


def dropout2d(input, p=0.5, training=True):
    """Dropout of whole channels of a (N, C, H, W) or (C, H, W) tensor."""
    return _channels("dropout2d", input, p, training, 4)


def dropout3d(input, p=0.5, training=True):
    """Dropout of whole channels of a (N, C, D, H, W) or (C, D, H, W) tensor."""
    return _channels("dropout3d", input, p, training, 5)


def check_probability(name, p):
    """`p`, if it is a probability; else ValueError."""
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: p: got {p}, expected 0 <= p <= 1")
    return p


def _channels(name, input, p, training, ndim, batched=False):
    """Drop what the dimensions after the channels span; `ndim` counts a batch, which only `batched` demands."""
    input = as_tensor(input)
    check_probability(name, p)
    if input.ndim != ndim and (batched or input.ndim != ndim - 1):
        raise ValueError(f"{name}: got shape {input.shape}, expected {ndim} dimensions (N, C, ...)")
    return Dropout(p, math.prod(input.shape[len(input.shape) - (ndim - 2) :])).apply(input) if training else input
