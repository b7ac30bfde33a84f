import numpy as np
from op_table import Op

from minidl import functional as F


def highway(z, h, x):
    t = 1 / (1 + np.exp(-z))
    return t * h + (1 - t) * x


def torch_highway(z, h, x):
    return h.lerp(x, (-z).sigmoid())


OPS = [
    Op(
        "highway", F.highway, highway, [(shape,) * 3 for shape in [(3, 4), (1,), (), (0, 4), (2, 3, 17)]],
        torch=torch_highway,
    ),
    Op("highway-shared", lambda z, x: F.highway(z, x * 2.0, x), lambda z, x: highway(z, 2 * x, x), [((3, 4), (3, 4))]),
]  # fmt: skip
