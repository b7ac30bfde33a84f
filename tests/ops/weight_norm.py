import math

import numpy as np
from op_table import Op, positive

from minidl.functional.weight_norm import spectral_norm, weight_norm


def torch():
    return __import__("torch")


def by_norm(v, g, axes):
    return g * v / np.sqrt((v**2).sum(axes, keepdims=True)) if v.size else v


def vectors(shape, dim):
    """Two unit vectors that nearly are those of a positive matrix."""
    sizes = shape[dim], math.prod(shape[:dim] + shape[dim + 1 :])
    return [(1 + 0.1 * np.cos(np.arange(size))) / np.sqrt(1.005 * max(size, 1)) for size in sizes]


def spectral(w, dim):
    u, v = vectors(w.shape, dim)
    return w / (u @ np.moveaxis(w, dim, 0).reshape(len(u), -1) @ v)


def ours(dim):
    return lambda w: spectral_norm(w, *(s.astype(w.dtype) for s in vectors(w.shape, dim)), dim)


def theirs(dim):
    def function(w):
        u, v = (torch().tensor(s, dtype=w.dtype) for s in vectors(w.shape, dim))
        return w / (u @ w.movedim(dim, 0).flatten(1) @ v)

    return function


OPS = [
    Op(
        "weight_norm",
        weight_norm,
        lambda v, g: by_norm(v, g, tuple(range(1, v.ndim))),
        [((4, 6), (4, 1)), ((3, 2, 3, 3), (3, 1, 1, 1)), ((2, 70), (2, 1)), ((1, 1), (1, 1))],
        torch=lambda v, g: torch()._weight_norm(v, g, 0),
    ),
    Op("weight_norm-empty", weight_norm, lambda v, g: v, [((2, 0), (2, 1)), ((0, 3), (0, 1))]),
    Op("weight_norm-vector", weight_norm, lambda v, g: g * np.sign(v), [((5,), (5,))]),
    Op(
        "weight_norm-1",
        lambda v, g: weight_norm(v, g, 1),
        lambda v, g: by_norm(v, g, (0, *range(2, v.ndim))),
        [((4, 6), (1, 6)), ((3, 2, 3), (1, 2, 1)), ((2, 3, 20), (1, 3, 1))],
        torch=lambda v, g: torch()._weight_norm(v, g, 1),
    ),
    Op(
        "weight_norm-whole",
        lambda v, g: weight_norm(v, g, None),
        lambda v, g: by_norm(v, g, None),
        [((4, 6), ()), ((3, 2, 3), ()), ((7,), ())],
        torch=lambda v, g: torch()._weight_norm(v, g, -1),
    ),
    Op(
        "spectral_norm",
        ours(0),
        lambda w: spectral(w, 0),
        [((4, 6),), ((3, 2, 3, 3),), ((2, 40),), ((1, 1),)],
        sample=positive,
        torch=theirs(0),
    ),
    Op(
        "spectral_norm-1",
        ours(1),
        lambda w: spectral(w, 1),
        [((4, 6),), ((3, 2, 3, 3),)],
        sample=positive,
        torch=theirs(1),
    ),
    Op("spectral_norm-empty", ours(0), lambda w: w, [((0, 3),), ((3, 0),)]),
]
