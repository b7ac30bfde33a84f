import numpy as np
from op_table import Op, apart

from minidl import functional as F


def torch():
    """Imported late: only the parity tests need it."""
    return __import__("torch")


OPS = [
    Op(
        "matmul", F.matmul, np.matmul,
        [
            ((3, 4), (4, 5)), ((1, 1), (1, 1)), ((0, 4), (4, 5)), ((3, 0), (0, 5)), ((3, 4), (4, 0)),
            ((4,), (4,)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (2, 4, 5)), ((2, 3, 4), (4,)),
            ((2, 3, 4), (2, 4, 5)), ((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 5)), ((1, 3, 4), (2, 4, 5)), ((2, 3, 4), (1, 4, 5)),
            ((2, 1, 3, 4), (3, 4, 5)), ((0, 3, 4), (0, 4, 5)), ((3, 4), (0, 4, 5)), ((0, 3, 4), (4, 5)), ((17, 33), (33, 65)),
        ],
        torch=lambda a, b: a @ b,
    ),
    Op("mm", F.mm, np.matmul, [((3, 4), (4, 5))], torch=lambda a, b: a.mm(b)),
    Op("bmm", F.bmm, np.matmul, [((2, 3, 4), (2, 4, 5)), ((1, 1, 1), (1, 1, 1))], torch=lambda a, b: a.bmm(b)),
    Op("dot", F.dot, np.dot, [((5,), (5,)), ((1,), (1,)), ((0,), (0,))], torch=lambda a, b: a.dot(b)),
    Op("outer", F.outer, np.outer, [((3,), (4,)), ((1,), (1,)), ((0,), (4,))], torch=lambda a, b: a.outer(b)),
    Op(
        "linear_relu", lambda x, w, b: F.linear(x, w, b, activation="relu"), lambda x, w, b: np.maximum(x @ w.T + b, 0),
        [((4, 5), (3, 5), (3,)), ((2, 3, 5), (33, 5), (33,)), ((0, 5), (3, 5), (3,)), ((1, 1), (1, 1), (1,))], apart,
        torch=lambda x, w, b: torch().nn.functional.linear(x, w, b).relu(),
    ),
    Op(
        "linear_without_bias", F.linear, lambda x, w: x @ w.T, [((4, 5), (3, 5)), ((5,), (3, 5))],
        torch=lambda x, w: torch().nn.functional.linear(x, w),
    ),
]  # fmt: skip
