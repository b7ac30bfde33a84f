"""Padding: constant in any dimension, reflected, replicated and circular."""

import functools
import math
import operator

import numpy as np

from minidl.engine import Node, as_tensor
from minidl.functional import _backward as B
from minidl.functional._strided import copy_view
from minidl.functional.index import index_select
from minidl.kernels import resample as K
from minidl.kernels.elementwise import fill

MODES = ("constant", "reflect", "replicate", "circular")


class Pad(Node):
    """y = value, then y[inside] = x[kept];  dx = 0, then dx[kept] = dy[inside]. Negative padding cuts."""

    def __init__(self, widths, value):
        super().__init__()
        self.widths, self.value = widths, value

    def forward(self, x):
        y = self.new([size + low + high for size, (low, high) in zip(x.shape, self.widths, strict=True)])
        self.kept = inside(x.shape, self.widths)
        self.inside = inside(y.shape, [(-low, -high) for low, high in self.widths])
        self.call(fill, [y], [], [y.array.size], [self.value])
        copy_view(self, y.array, y.array[self.inside], x.array, x.array[self.kept])
        return y

    def backward(self, dy):
        dx, inside = self.grad(), dy[self.inside]
        if inside.size < dx.size:
            self.call(fill, [dx], [], [dx.size], [0.0])
        copy_view(self, dx, dx[self.kept], dy, inside)


def inside(shape, widths):
    """The part that is left when negative padding has cut its share."""
    slices = (slice(max(-low, 0), size - max(-high, 0)) for size, (low, high) in zip(shape, widths, strict=True))
    return (*slices, ...)  # with the dots the part is a view even without a dimension


class Remap(Node):
    """y[.., i, j] = x[.., rows[i], columns[j]];  dx[.., r, c] = sum of dy[.., i, j] over rows[i] = r, columns[j] = c.

    Parameters
    ----------
    *maps : int64 arrays
        For each of the last dimensions, one or two, the index in `x` for every index in `y`.
    run : (int, int)
        Columns between these two are neighbours in `x` as in `y`, and copied as one.
    """

    name = "pad"

    def __init__(self, *maps, run=(0, 0)):
        super().__init__()
        self.maps, self.run = maps, run

    def forward(self, x):
        outer = x.shape[: -len(self.maps)]
        y = self.new((*outer, *map(len, self.maps)))
        self.rows, self.columns = (FIRST, *self.maps)[-2:]
        height = x.shape[-2] if len(self.maps) == 2 else 1
        self.sizes = [math.prod(outer), len(self.rows), len(self.columns), height, x.shape[-1], *self.run]
        self.call(K.remap, [y], [x, self.rows, self.columns], self.sizes)
        return y

    def backward(self, dy):
        self.call(B.resample.remap, [self.grad()], [dy, self.rows, self.columns], self.sizes)


FIRST = np.zeros(1, np.int64)  # the one row of a vector


@functools.lru_cache(1024)
def source(mode, size, low, high):
    """For every index of a padded dimension, the index that its number comes from."""
    at = np.arange(-low, size + high)
    if mode == "reflect":
        return size - 1 - abs(size - 1 - abs(at))
    if mode == "replicate":
        return at.clip(0, size - 1)
    first, last = max(-low, 0), size - max(-high, 0)  # what negative padding cuts off does not come back
    return first + (at - first) % max(last - first, 1)


def pad(input, pad, mode="constant", value=None):
    """`input` with more elements at the ends of its last dimensions.

    Parameters
    ----------
    input : Tensor, shape (..., D2, D1)
    pad : sequence of int
        Elements to add before and after the last dimension, then the one before it, and so on; negative ones cut.
    mode : {"constant", "reflect", "replicate", "circular"}
        What to put there: `value`, the mirrored elements (without the edge), the edge, or the other end.
    value : float, optional
        For ``"constant"``; 0 by default.

    Returns
    -------
    Tensor, shape (..., D2 + pad[2] + pad[3], D1 + pad[0] + pad[1])

    Raises
    ------
    ValueError
        If a dimension has too few elements: one more than is added (reflect), one (replicate), as many as are added
        (circular), or as many as are cut.
    """
    input, pad = as_tensor(input), checked_widths(pad)
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ValueError(
            f"pad: pad: got {pad}, expected pairs for at most the {input.ndim} dimensions of {input.shape}"
        )
    if mode not in MODES:
        raise ValueError(f"pad: mode: got {mode!r}, expected 'constant', 'reflect', 'replicate' or 'circular'")
    if mode != "constant" and value is not None:
        raise ValueError(f"pad: value: got {value!r} with mode {mode!r}, expected it only with 'constant'")
    widths = [(0, 0)] * (input.ndim - len(pad) // 2) + list(zip(pad[-2::-2], pad[:0:-2], strict=True))
    for d, (low, high) in enumerate(widths):
        size = input.shape[d]
        if size + low + high < 0 or max(-low, -high) > size:
            raise ValueError(f"pad: pad: {(low, high)} cuts more than dim {d} of {input.shape} has")
        left = size + min(low, 0) + min(high, 0)
        limits = {"reflect": max(size - 1, 0), "replicate": math.inf if size else 0, "circular": left}
        limit = limits.get(mode, math.inf)
        if max(low, high) > limit:
            raise ValueError(
                f"pad: pad: got {(low, high)} for dim {d} of size {size}, expected at most {limit} in mode {mode!r}"
            )
    if mode == "constant" or not any(pad):
        return Pad(widths, 0.0 if value is None else float(value)).apply(input)
    maps = [source(mode, size, *pair) for size, pair in zip(input.shape, widths, strict=True)]
    first = input.ndim - len(pad) // 2
    for d in range(first, input.ndim - 2):
        input = index_select(input, d, maps[d])
    low, high = widths[-1]
    run = (max(low, 0), len(maps[-1]) - max(high, 0))
    return Remap(*maps[max(first, input.ndim - 2) :], run=run).apply(input)


def checked_widths(pad):
    """`pad` as a tuple of int; TypeError if it is something else."""
    try:
        return tuple(operator.index(count) for count in pad)
    except TypeError:
        raise TypeError(f"pad: pad: got {pad!r}, expected a sequence of integers") from None
