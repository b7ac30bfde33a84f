"""Masks and padding: masked_fill, tril, triu, one_hot, pad."""

import math
from typing import Any

import numpy as np

from minidl.engine import Node, as_tensor
from minidl.functional._strided import copy_view
from minidl.functional.index import as_index, index_select
from minidl.functional.shape import expand
from minidl.kernels import index as K
from minidl.kernels.elementwise import fill


class MaskedFill(Node):
    """y = value where mask, else x;  dx = 0 where mask, else dy."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x, mask):
        y = self.new(x.shape)
        self.call(K.masked_fill, [y], [x, mask], [x.array.size], [self.value])
        self.mask = mask.array
        return y

    def backward(self, dy):
        self.call(K.masked_fill, [self.grad()], [dy, self.mask], [dy.size], [0.0])


def masked_fill(input, mask, value):
    """`value` where `mask` is true, else `input`; the two broadcast.

    Parameters
    ----------
    input : Tensor
    mask : bool Tensor
    value : float
    """
    input, mask = as_tensor(input), as_tensor(mask)
    if mask.dtype != bool:
        raise TypeError(f"masked_fill: mask is {mask.dtype}, expected bool")
    try:
        shape = np.broadcast_shapes(input.shape, mask.shape)
    except ValueError:
        raise ValueError(f"masked_fill: mask has shape {mask.shape}, which does not fit {input.shape}") from None
    return MaskedFill(float(value)).apply(expand(input, shape), expand(mask, shape))


class Triangle(Node):
    """y[i, j] = x[i, j] where j - i <= k (lower) or j - i >= k (upper), else 0;  dx likewise from dy."""

    def __init__(self, diagonal, upper):
        super().__init__()
        self.diagonal, self.upper = diagonal, upper

    def forward(self, x):
        if x.ndim < 2:
            raise ValueError(f"{'triu' if self.upper else 'tril'}: got shape {x.shape}, expected at least 2 dimensions")
        y = self.new(x.shape)
        self.sizes = [math.prod(x.shape[:-2]), *x.shape[-2:], self.diagonal, self.upper]
        self.call(K.triangle, [y], [x], self.sizes)
        return y

    def backward(self, dy):
        self.call(K.triangle, [self.grad()], [dy], self.sizes)


def tril(input, diagonal=0):
    """The lower triangle of the last two dimensions, up to `diagonal`; zeros elsewhere."""
    return Triangle(diagonal, upper=False).apply(input)


def triu(input, diagonal=0):
    """The upper triangle of the last two dimensions, from `diagonal` on; zeros elsewhere."""
    return Triangle(diagonal, upper=True).apply(input)


class OneHot(Node):
    """y[n, c] = 1 where c = index[n], else 0; no gradient."""

    name = "one_hot"

    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes

    def forward(self, index):
        y = self.new((*index.shape, self.num_classes))
        self.call(K.one_hot, [y], [index], [index.array.size, self.num_classes])
        return y

    def explain_index(self, call):
        index, classes = call.inputs[0], call.sizes[1]
        at = tuple(np.argwhere((index < 0) | (index >= classes))[0].tolist())
        return f"index{list(at)} is {index[at]}, expected 0 <= index < {classes} (num_classes)"


def one_hot(tensor, num_classes=-1):
    """Rows of zeros with a one at the index.

    Parameters
    ----------
    tensor : int64 Tensor, any shape
    num_classes : int
        -1: one more than the largest index.

    Returns
    -------
    int64 Tensor, shape (*tensor.shape, num_classes)
    """
    index = as_index("one_hot", tensor)
    if num_classes == -1:
        index.check_readable("one_hot() without num_classes")
        if not index.array.size:
            raise ValueError("one_hot: an empty tensor has no largest index; pass num_classes=")
        num_classes = int(index.array.max()) + 1
    if num_classes < 1:
        raise ValueError(f"one_hot: num_classes: got {num_classes}, expected at least 1")
    return OneHot(num_classes).apply(index)


class Pad(Node):
    """y = value, then y[inside] = x[kept];  dx = 0, then dx[kept] = dy[inside]. Negative padding cuts."""

    def __init__(self, before, after, value):
        super().__init__()
        self.before, self.after, self.value = before, after, value

    def forward(self, x):
        pairs = list(zip(self.before, self.after, strict=True))
        shape = [size + low + high for size, (low, high) in zip(x.shape, pairs, strict=True)]
        self.kept = tuple(
            slice(max(-low, 0), size - max(-high, 0)) for size, (low, high) in zip(x.shape, pairs, strict=True)
        )
        self.inside = tuple(
            slice(max(low, 0), size - max(high, 0)) for size, (low, high) in zip(shape, pairs, strict=True)
        )
        y = self.new(shape)
        self.call(fill, [y], [], [y.array.size], [self.value])
        copy_view(self, y.array, y.array[self.inside], x.array, x.array[self.kept])
        return y

    def backward(self, dy):
        dx, inside = self.grad(), dy[self.inside]
        if inside.size < dx.size:
            self.call(fill, [dx], [], [dx.size], [0.0])
        copy_view(self, dx, dx[self.kept], dy, inside)


MODES: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(input, pad, mode="constant", value=None):
    """`input` with more elements at the ends of its last dimensions.

    Parameters
    ----------
    input : Tensor
    pad : sequence of int
        Elements to add before and after the last dimension, then the one before it, and so on; negative ones cut.
    mode : {"constant", "reflect", "replicate", "circular"}
        What to put there: `value`, the mirrored elements (without the edge), the edge, or the other end.
    value : float, optional
        For ``"constant"``; 0 by default.
    """
    input, pad = as_tensor(input), tuple(int(count) for count in pad)
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ValueError(
            f"pad: pad: got {pad}, expected pairs for at most the {input.ndim} dimensions of {input.shape}"
        )
    dims = range(input.ndim - 1, input.ndim - 1 - len(pad) // 2, -1)
    pairs = dict(zip(dims, zip(pad[::2], pad[1::2], strict=True), strict=True))
    for d, (low, high) in pairs.items():
        if input.shape[d] + low + high < 0 or max(-low, -high) > input.shape[d]:
            raise ValueError(f"pad: pad: {(low, high)} cuts more than dim {d} of {input.shape} has")
    if mode == "constant":
        before, after = zip(*(pairs.get(d, (0, 0)) for d in range(input.ndim)), strict=True) if input.ndim else ((), ())
        return Pad(before, after, 0.0 if value is None else float(value)).apply(input)
    if mode not in MODES:
        raise ValueError(f"pad: mode: got {mode!r}, expected 'constant', 'reflect', 'replicate' or 'circular'")
    for d, widths in pairs.items():
        size = input.shape[d]
        limit = {"reflect": size - 1, "replicate": math.inf if size else 0, "circular": size}[mode]
        if min(widths) < 0 or max(widths) > limit:
            raise ValueError(
                f"pad: pad: got {widths} for dim {d} of size {size}, expected 0 to {limit} in mode {mode!r}"
            )
        if any(widths):
            input = index_select(input, d, np.pad(np.arange(size), widths, MODES[mode]))
    return input
