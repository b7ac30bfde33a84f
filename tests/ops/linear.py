from op_table import Op

from minidl import functional as F

OPS = [
    Op(
        "linear",
        F.linear,
        lambda x, w, b: x @ w.T + b,
        [
            ((4, 5), (3, 5), (3,)),
            ((1, 1), (1, 1), (1,)),
            ((2, 3, 5), (33, 5), (33,)),
            ((0, 5), (3, 5), (3,)),
            ((5,), (3, 5), (3,)),
        ],
        torch=lambda x, w, b: __import__("torch").nn.functional.linear(x, w, b),
    ),
]
