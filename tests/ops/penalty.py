import numpy as np
from op_table import Op

from minidl import functional as F

LISTS = [((3, 4), (4,), ()), ((1, 1),), ((0, 4), (2, 0)), ((2, 3, 2),)]


def max_norm(*x):
    rows = [array.reshape(len(array) if array.ndim else 1, -1) for array in x if array.size]
    return 0.35 * sum((np.maximum(np.sqrt((r**2).sum(1)) - 0.8, 0) ** 2).sum() for r in rows)


def orthogonal(*x):
    total = 0
    for array in x:
        w = array.reshape(len(array), -1) if array.size else np.zeros((0, 0))
        w = w if len(w) <= w.shape[1] else w.T
        total += ((w @ w.T - np.eye(len(w))) ** 2).sum()
    return 0.35 * total


OPS = [
    Op("l1_penalty", lambda *x: F.l1_penalty(x, 0.7), lambda *x: 0.7 * sum(np.abs(a).sum() for a in x), LISTS),
    Op("l2_penalty", lambda *x: F.l2_penalty(x, 0.7), lambda *x: 0.35 * sum((a**2).sum() for a in x), LISTS),
    Op("l2_penalty-one", lambda x: F.l2_penalty(x, 0.7), lambda x: 0.35 * (x**2).sum(), [((3, 4),)]),
    Op("max_norm_penalty", lambda *x: F.max_norm_penalty(x, 0.8, 0.7), max_norm, LISTS),
    Op(
        "orthogonal_penalty", lambda *x: F.orthogonal_penalty(x, 0.7), orthogonal,
        [((2, 3), (4, 2), (3, 3)), ((1, 1),), ((0, 4), (2, 0)), ((3, 2, 2, 2), (5, 1, 2))],
    ),
]  # fmt: skip
