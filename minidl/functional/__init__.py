"""The operations, one family per file: a node class with its two formulas, and the function that users call."""

from minidl.functional.activation import relu
from minidl.functional.dropout import alpha_dropout, dropout, dropout1d, dropout2d, dropout3d, feature_dropout
from minidl.functional.index import gather, getitem, index_select, take_along_dim
from minidl.functional.join import cat, chunk, narrow, split, stack, unbind
from minidl.functional.linear import bmm, dot, linear, matmul, mm, outer
from minidl.functional.mask import masked_fill, one_hot, pad, tril, triu
from minidl.functional.shape import (
    broadcast_to,
    clone,
    expand,
    flatten,
    flip,
    permute,
    repeat,
    reshape,
    squeeze,
    t,
    transpose,
    unsqueeze,
    view,
)

__all__ = [
    "alpha_dropout",
    "bmm",
    "broadcast_to",
    "cat",
    "chunk",
    "clone",
    "dot",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "expand",
    "feature_dropout",
    "flatten",
    "flip",
    "gather",
    "getitem",
    "index_select",
    "linear",
    "masked_fill",
    "matmul",
    "mm",
    "narrow",
    "one_hot",
    "outer",
    "pad",
    "permute",
    "relu",
    "repeat",
    "reshape",
    "split",
    "squeeze",
    "stack",
    "t",
    "take_along_dim",
    "transpose",
    "tril",
    "triu",
    "unbind",
    "unsqueeze",
    "view",
]
