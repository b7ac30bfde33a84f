import numpy as np
from op_table import Op

from minidl import functional as F

SHAPES = [((3, 4),), ((1, 1),), ((2, 5, 3),), ((0, 4),), ((70, 3),), ((3, 67),)]


def softmax(x, dim):
    e = np.exp(x - x.max(dim, keepdims=True, initial=-np.inf))
    return e / e.sum(dim, keepdims=True)


def log_softmax(x, dim):
    shifted = x - x.max(dim, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.exp(shifted).sum(dim, keepdims=True)) if x.size else x


OPS = [
    Op("softmax", lambda x: F.softmax(x, -1), lambda x: softmax(x, -1), SHAPES, torch=lambda x: x.softmax(-1)),
    Op("softmax-1", lambda x: F.softmax(x, 1), lambda x: softmax(x, 1), SHAPES, torch=lambda x: x.softmax(1)),
    Op(
        "softmax-0",
        lambda x: F.softmax(x, 0),
        lambda x: softmax(x, 0),
        [*SHAPES, ((5,),), ((3, 0),)],
        torch=lambda x: x.softmax(0),
    ),
    Op("softmax-0d", lambda x: F.softmax(x, 0), np.ones_like, [((),)], torch=lambda x: x.softmax(0)),
    Op(
        "log_softmax",
        lambda x: F.log_softmax(x, -1),
        lambda x: log_softmax(x, -1),
        SHAPES,
        torch=lambda x: x.log_softmax(-1),
    ),
    Op(
        "log_softmax-1",
        lambda x: F.log_softmax(x, 1),
        lambda x: log_softmax(x, 1),
        SHAPES,
        torch=lambda x: x.log_softmax(1),
    ),
    Op("softmin", lambda x: F.softmin(x, 1), lambda x: softmax(-x, 1), SHAPES, torch=lambda x: (-x).softmax(1)),
    Op(
        "log_softmax-0",
        lambda x: F.log_softmax(x, 0),
        lambda x: log_softmax(x, 0),
        [*SHAPES, ((5,),), ((3, 0),)],
        torch=lambda x: x.log_softmax(0),
    ),
    Op("log_softmax-0d", lambda x: F.log_softmax(x, 0), np.zeros_like, [((),)], torch=lambda x: x.log_softmax(0)),
]
