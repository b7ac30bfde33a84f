"""Parameters with gradients, for tests of update nodes."""

import numpy as np

import minidl as dl

SHAPES = {
    "a.weight": (40, 700),
    "a.bias": (40,),
    "conv.weight": (6, 5, 3, 3),
    "one": (),
    "b.weight": (3, 1),
    "b.bias": (3,),
}


def parameters(dtype="float64", scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for name, shape in SHAPES.items():
        p = dl.Parameter(rng.standard_normal(shape).astype(dtype))
        p.name = name
        p.grad = (scale * rng.standard_normal(shape)).astype(dtype)
        found.append(p)
    return found


def gradients(ps):
    return [p.buffer.astype(np.float64) for p in ps]


def weights(ps):
    return [p.numpy().astype(np.float64) for p in ps]


def set_gradients(ps, values):
    for p, value in zip(ps, values, strict=True):
        p.grad = value.astype(p.dtype)
