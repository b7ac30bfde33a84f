"""Embeddings: rows of a table that tokens name."""

import numpy as np

from minidl.engine import as_tensor, no_grad
from minidl.engine.tensor import FLOATS
from minidl.functional import _backward as B
from minidl.functional.arithmetic import add, div, mul
from minidl.functional.comparison import gt, where
from minidl.functional.index import Take, as_index
from minidl.functional.inplace import InPlace
from minidl.functional.reduce import norm
from minidl.kernels import index as K
from minidl.kernels.elementwise import fill


class Embedding(Take):
    """y[b] = w[index[b]];  dw[q] = sum of dy[b] over all b with index[b] = q, and 0 for the padding.

    Attributes
    ----------
    index : int64 Tensor
        As it was given. With ``inputs[0]``, the table, it says what y is without the copies.
    padding_idx : int or None
        Row that gets no gradient, counted from the front.
    """

    role = "weights"
    words = "input", "the rows of weight"

    def __init__(self, padding_idx=None):
        super().__init__(first=0, negative=False)
        self.padding_idx = padding_idx

    index = property(lambda self: self.inputs[1])

    def backward(self, dy):
        dw = self.grad()
        self.call(B.index.take, [dw], [dy, self.linear], self.sizes)
        if self.padding_idx is not None:
            row = dw[self.padding_idx]
            self.call(fill, [row], [], [row.size], [0.0])


def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0):
    """The rows of `weight` that `input` names.

    Parameters
    ----------
    input : Tensor or array of int64, any shape
        Row numbers, 0 <= input < num_embeddings.
    weight : Tensor, shape (num_embeddings, embedding_dim)
        The table.
    padding_idx : int, optional
        Row that gets no gradient; negative counts from the end.
    max_norm : float, optional
        The rows that are looked up and have a larger norm are scaled down to this one, in `weight` itself, before.
    norm_type : float
        Order of that norm, as in `norm`.

    Returns
    -------
    Tensor, shape (*input.shape, embedding_dim)

    Raises
    ------
    IndexError
        If a row number is out of range; names the first. In a replayed step, too.
    """
    name = "embedding"
    input, weight, padding_idx = check_lookup(name, input, weight, padding_idx)
    if check_max_norm(name, max_norm) is not None:
        renormalize(name, weight, input, max_norm, norm_type)
    return Embedding(padding_idx).apply(weight, input)


def renormalize(name, weight, index, max_norm, norm_type):
    """Scale the rows that `index` names and whose norm is above `max_norm` down to it, in place."""
    with no_grad():
        lookup = Embedding()
        rows = lookup.apply(weight, index)
        norms = norm(rows, norm_type, dim=-1, keepdim=True)
        scale = where(gt(norms, max_norm), div(max_norm, add(norms, 1e-7)), 1.0)
        # a row that is named twice is written twice, with the same values
        InPlace(name, weight).run(K.put, [mul(rows, scale), lookup.linear], [index.array.size, weight.shape[1]])


# What the arguments must be


def check_lookup(name, input, weight, padding_idx):
    """Row numbers and table as tensors, and `padding_idx` counted from the front."""
    input, weight = as_index(name, input, "input"), as_tensor(weight)
    if weight.dtype not in FLOATS:
        raise TypeError(f"{name}: weight is {weight.dtype}, expected float32 or float64")
    if weight.ndim != 2:
        raise ValueError(f"{name}: weight has shape {weight.shape}, expected (num_embeddings, embedding_dim)")
    return input, weight, check_padding(name, padding_idx, weight.shape[0])


def check_padding(name, padding_idx, rows):
    """`padding_idx` counted from the front, or None; ValueError if there is no such row."""
    if padding_idx is None:
        return None
    if not isinstance(padding_idx, (int, np.integer)) or not -rows <= padding_idx < rows:
        raise ValueError(
            f"{name}: padding_idx: got {padding_idx!r}, expected an integer with {-rows} <= padding_idx < {rows}"
        )
    return int(padding_idx) % rows


def check_max_norm(name, max_norm):
    """`max_norm`, if it is None or a number > 0; else ValueError."""
    if max_norm is not None and not (isinstance(max_norm, (int, float, np.number)) and max_norm > 0):
        raise ValueError(f"{name}: max_norm: got {max_norm!r}, expected a number > 0, or None")
    return max_norm
