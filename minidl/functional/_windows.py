"""Where the windows of a pooling lie, axis by axis; all that can be wrong about them is said here."""

import functools
from dataclasses import dataclass

import numpy as np

from minidl.engine import as_tensor
from minidl.engine.tensor import FLOATS


@dataclass(frozen=True)
class Axis:
    """The windows along one dimension.

    Attributes
    ----------
    size : int
        Elements of the input.
    step : int
        Distance of two elements of a window.
    first, found, extent : tuple of int
        Of each window: first element, number of elements, what a mean divides by.
    stride, low, high : int
        The windows low <= o < high have all elements and start `stride` apart.
    """

    size: int
    step: int
    first: tuple
    found: tuple
    extent: tuple
    stride: int
    low: int
    high: int

    count = property(lambda self: len(self.first), doc="Number of windows.")
    taps = property(lambda self: max(self.found, default=0), doc="Elements of the largest window.")
    halves = property(
        lambda self: self.taps == self.stride == 2 and self.step == 1 and self.high - self.low == self.size / 2,
        doc="Whether windows of 2 elements tile the input.",
    )
    whole = property(lambda self: self.found == (self.size,), doc="Whether there is one window, with all elements.")

    @functools.cached_property
    def layout(self):
        """The same as a list of sizes for the kernels."""
        head = (self.size, self.count, self.taps, self.step, self.stride, self.low, self.high)
        return (*head, *self.first, *self.found, *self.extent)


ONE = Axis(1, 1, (0,), (1,), (1,), 1, 0, 1)  # the rows of a 1-d input


@functools.lru_cache(1024)
def strided(size, kernel, stride, padding, dilation, ceil_mode):
    """Windows of `kernel` elements, `stride` apart; None if there is none, or one with nothing but padding."""
    span = dilation * (kernel - 1) + 1
    count = (size + 2 * padding - span + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1  # the last window would start in the padding behind
    start = np.arange(count) * stride - padding
    first = np.where(start < 0, start % dilation, start)
    stop = np.minimum(start + span, size)
    found = -((first - stop) // dilation)
    if not count > 0 or (found < 1).any():
        return None
    inside = np.flatnonzero(found == kernel)
    low, high = (inside[0], inside[-1] + 1) if len(inside) else (0, 0)
    extent = np.minimum(start + kernel, size + padding) - start
    return Axis(size, dilation, ints(first), ints(found), ints(extent), stride, int(low), int(high))


@functools.lru_cache(1024)
def adaptive(size, count):
    """`count` windows that cover `size` elements, as even as can be."""
    if count and size % count == 0:
        return strided(size, size // count, size // count, 0, 1, False)
    first = [o * size // count for o in range(count)]
    found = ints(-(-(o + 1) * size // count) - low for o, low in enumerate(first))
    return Axis(size, 1, tuple(first), found, found, 0, 0, 0)


def ints(values):
    """The values as a tuple of Python integers."""
    return tuple(map(int, values))


def per_dim(name, argument, value, dims, least):
    """An integer for each dimension, from one or from a sequence.

    Raises
    ------
    TypeError, ValueError
        If `value` is not made of integers, of as many as there are dimensions, or has one below `least`.
    """
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    for one in values:
        if not isinstance(one, (int, np.integer)) or isinstance(one, bool):
            raise TypeError(f"{name}: {argument}: got {value!r}, expected an integer or a tuple of integers")
        if one < least:
            raise ValueError(f"{name}: {argument}: got {value!r}, expected at least {least}")
    if len(values) not in (1, dims):
        raise ValueError(f"{name}: {argument}: got {value!r}, expected one integer or {dims}")
    return ints(values * dims if len(values) == 1 else values)


def planes_of(name, input, dims):
    """`input` as a tensor of planes of `dims` dimensions; an error if it is not one.

    Raises
    ------
    TypeError, ValueError
        For another dtype than float32 and float64; for another number of dimensions, or planes without elements.
    """
    input = as_tensor(input)
    if input.dtype not in FLOATS:
        raise TypeError(f"{name}: input: got dtype {input.dtype}, expected float32 or float64")
    wanted = "(N, C, L) or (C, L)" if dims == 1 else "(N, C, H, W) or (C, H, W)"
    if input.ndim not in (dims + 1, dims + 2):
        raise ValueError(f"{name}: input: got shape {input.shape}, expected {wanted}")
    if 0 in input.shape[-dims:]:
        raise ValueError(f"{name}: input: got shape {input.shape}, expected {wanted} with elements in every plane")
    return input


def strided_axes(name, sizes, kernel_size, stride, padding, dilation=1, ceil_mode=False):
    """The axis of each dimension of size `sizes`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or a window does not fit.
    """
    dims = len(sizes)
    kernel = per_dim(name, "kernel_size", kernel_size, dims, 1)
    stride = kernel if stride is None else per_dim(name, "stride", stride, dims, 1)
    padding = per_dim(name, "padding", padding, dims, 0)
    dilation = per_dim(name, "dilation", dilation, dims, 1)
    if any(2 * pad > size for pad, size in zip(padding, kernel, strict=True)):
        raise ValueError(f"{name}: padding: got {padding}, expected at most half of kernel_size {kernel}")
    axes = [strided(*each, bool(ceil_mode)) for each in zip(sizes, kernel, stride, padding, dilation, strict=True)]
    if None in axes:
        padded = tuple(size + 2 * pad for size, pad in zip(sizes, padding, strict=True))
        span = tuple(d * (size - 1) + 1 for d, size in zip(dilation, kernel, strict=True))
        raise ValueError(
            f"{name}: kernel_size: got {kernel}, which spans {span} with dilation {dilation}, expected windows that "
            f"fit into the padded size {padded} and hold an element of the input of size {tuple(sizes)}"
        )
    return axes


def adaptive_axes(name, sizes, output_size):
    """The axis of each dimension of size `sizes`; None in `output_size` keeps the size.

    Raises
    ------
    TypeError, ValueError
        If `output_size` is not made of integers >= 0, of as many as there are dimensions.
    """
    wanted = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * len(sizes)
    if len(wanted) != len(sizes):
        raise ValueError(f"{name}: output_size: got {output_size!r}, expected one integer or {len(sizes)}")
    kept = tuple(size if one is None else one for one, size in zip(wanted, sizes, strict=True))
    return [adaptive(*each) for each in zip(sizes, per_dim(name, "output_size", kept, len(sizes), 0), strict=True)]
