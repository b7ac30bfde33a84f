"""Pooling: the largest element or the mean of every window, in one and two dimensions.

Inputs are float32 or float64, (N, C, L) or (C, L) for 1d, (N, C, H, W) or (C, H, W) for 2d. `kernel_size`, `stride`,
`padding`, `dilation` and `output_size` are an integer or a tuple with one per dimension. `stride` is `kernel_size` by
default. Padding lies on both sides and is at most half of the kernel; it never is a maximum, and counts as 0 in a mean.
With `ceil_mode` the last window may reach beyond the padding.
"""

import math
from dataclasses import replace

import numpy as np

from minidl.engine import Node, memory
from minidl.functional import _backward as B
from minidl.functional._windows import ONE, adaptive_axes, planes_of, strided_axes
from minidl.functional.reduce import Sum
from minidl.kernels import pooling as K
from minidl.kernels import reduce

BYTE = 256  # places in a window that a byte tells apart


class Pool(Node):
    """What the nodes share: planes, and the windows on them."""

    def __init__(self, axes):
        super().__init__()
        self.axes = axes
        self.rows, self.columns = axes if len(axes) == 2 else (ONE, *axes)

    def output_shape(self, x):
        """Shape of the output; also sets the sizes for the kernels."""
        lead = x.shape[: -len(self.axes)]
        self.sizes = (math.prod(lead), *self.rows.layout, *self.columns.layout)
        return (*lead, *(axis.count for axis in self.axes))


class MaxPool(Pool):
    """y = max of x over the window, at its place k;  dx[k] = sum of dy over the windows that took k."""

    name = "max_pool"

    def __init__(self, axes, return_indices):
        super().__init__(axes)
        self.return_indices = return_indices

    def forward(self, x):
        shape = self.output_shape(x)
        y = self.new(shape)
        self.tap = index = None
        if self.return_indices or self.rows.taps * self.columns.taps > BYTE:
            index = self.new(shape, np.int64)
            self.index = index.array
        elif self.tracked:
            self.tap = memory.empty(shape, np.uint8)
        self.call(K.max_pool, [y, self.tap, index], [x], self.sizes)
        return (y, index) if self.return_indices else y

    def backward(self, dy):
        rows, columns = self.rows, self.columns
        planes, area = self.sizes[0], rows.size * columns.size
        if self.tap is None:
            self.call(B.index.gather, [self.grad()], [dy, self.index], [planes, area, rows.count * columns.count, 1])
            return
        if rows.halves and columns.halves:
            self.call(B.pooling.max_pool_2x2, [self.grad()], [dy, self.tap], [planes * rows.count, columns.count])
            return
        starts = [row * columns.size for row in rows.first]
        places = [
            i * rows.step * columns.size + j * columns.step for i in range(rows.taps) for j in range(columns.taps)
        ]
        sizes = [planes, area, rows.count, columns.count, len(places), *starts, *columns.first, *places]
        self.call(B.pooling.max_pool, [self.grad()], [dy, self.tap], sizes)


class GlobalMaxPool(Pool):
    """y = max of x over the plane, at its place k;  dx[k] = dy, else 0."""

    name = "max_pool"

    def forward(self, x):
        shape = self.output_shape(x)
        y, index = self.new(shape), self.new(shape, np.int64)
        self.sizes = (self.sizes[0], self.rows.size * self.columns.size, 1, 0)  # rows of numbers to the reductions
        self.call(reduce.amax, [y], [x], self.sizes)
        self.call(reduce.find, [index], [x, y], self.sizes, dtype=x.dtype)
        self.index = index.array
        return y, index

    def backward(self, dy):
        self.call(B.reduce.at_index, [self.grad()], [dy, self.index], self.sizes)


class AvgPool(Pool):
    """y = sum of x over the window / n;  dx = sum of dy / n over the windows that took x."""

    name = "avg_pool"

    def forward(self, x):
        y = self.new(self.output_shape(x))
        self.call(K.avg_pool, [y], [x], self.sizes)
        return y

    def backward(self, dy):
        self.call(B.pooling.avg_pool, [self.grad()], [dy], self.sizes)


def pool_max(axes, input, return_indices):
    """Largest element of every window, and its place in its plane if asked for."""
    if not all(axis.whole for axis in axes):
        return MaxPool(axes, return_indices).apply(input)
    values, indices = GlobalMaxPool(axes).apply(input)
    return (values, indices) if return_indices else values


def pool_mean(axes, input):
    """Sum of every window, divided by the extents of its axes."""
    if not all(axis.whole for axis in axes):
        return AvgPool(axes).apply(input)
    dims = tuple(range(-len(axes), 0))
    return Sum(dims, True, math.prod(axis.extent[0] for axis in axes)).apply(input)


def strided_max(name, dims, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices):
    """max_pool of planes with `dims` dimensions."""
    input = planes_of(name, input, dims)
    axes = strided_axes(name, input.shape[-dims:], kernel_size, stride, padding, dilation, ceil_mode)
    return pool_max(axes, input, return_indices)


def strided_mean(name, dims, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor=None):
    """avg_pool of planes with `dims` dimensions."""
    if divisor is not None and (not isinstance(divisor, (int, np.integer)) or divisor == 0):
        raise ValueError(f"{name}: divisor_override: got {divisor!r}, expected an integer other than 0")
    input = planes_of(name, input, dims)
    axes = strided_axes(name, input.shape[-dims:], kernel_size, stride, padding, 1, ceil_mode)
    if divisor is not None:
        axes = [replace(axis, extent=(d,) * axis.count) for axis, d in zip(axes, (int(divisor), 1), strict=True)]
    elif not count_include_pad:
        axes = [replace(axis, extent=axis.found) for axis in axes]
    return pool_mean(axes, input)


def adaptive_max(name, dims, input, output_size, return_indices):
    """adaptive_max_pool of planes with `dims` dimensions."""
    input = planes_of(name, input, dims)
    return pool_max(adaptive_axes(name, input.shape[-dims:], output_size), input, return_indices)


def adaptive_mean(name, dims, input, output_size):
    """adaptive_avg_pool of planes with `dims` dimensions."""
    input = planes_of(name, input, dims)
    return pool_mean(adaptive_axes(name, input.shape[-dims:], output_size), input)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """Largest element of every window; of equal ones the first counts, and a NaN is larger than all.

    Parameters
    ----------
    input : Tensor, shape (N, C, H, W) or (C, H, W)
    kernel_size, stride, padding, dilation : int or tuple of int
    ceil_mode : bool
        Round the number of windows up instead of down.
    return_indices : bool
        Also return where the elements are in their flattened planes.

    Returns
    -------
    Tensor, shape (N, C, H', W') or (C, H', W'), or (values, indices)
        H' = (H + 2 padding - dilation (kernel_size - 1) - 1) / stride + 1, rounded; likewise W'.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or a window does not fit into the padded input.
    """
    return strided_max("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """`max_pool2d` along one dimension: (N, C, L) or (C, L) to (N, C, L') or (C, L')."""
    return strided_max("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """Mean of every window.

    Parameters
    ----------
    input : Tensor, shape (N, C, H, W) or (C, H, W)
    kernel_size, stride, padding : int or tuple of int
    ceil_mode : bool
        Round the number of windows up instead of down.
    count_include_pad : bool
        Whether the mean counts the zeros of the padding.
    divisor_override : int, optional
        Divide by this instead of the number of elements.

    Returns
    -------
    Tensor, shape (N, C, H', W') or (C, H', W')
        H' = (H + 2 padding - kernel_size) / stride + 1, rounded; likewise W'.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or a window does not fit into the padded input.
    """
    return strided_mean(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """`avg_pool2d` along one dimension: (N, C, L) or (C, L) to (N, C, L') or (C, L')."""
    return strided_mean("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def adaptive_max_pool2d(input, output_size, return_indices=False):
    """Largest element of H' x W' windows that cover the input, as even as can be.

    Parameters
    ----------
    input : Tensor, shape (N, C, H, W) or (C, H, W)
    output_size : int or tuple of int or None
        H' and W'; None keeps the size. 1 is global pooling.
    return_indices : bool
        Also return where the elements are in their flattened planes.

    Returns
    -------
    Tensor, shape (N, C, H', W') or (C, H', W'), or (values, indices)
        Window o begins at floor(o H / H') and ends before ceil((o + 1) H / H').
    """
    return adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool1d(input, output_size, return_indices=False):
    """`adaptive_max_pool2d` along one dimension: (N, C, L) or (C, L) to (N, C, L') or (C, L')."""
    return adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_avg_pool2d(input, output_size):
    """Mean of H' x W' windows that cover the input, as even as can be; like `adaptive_max_pool2d`."""
    return adaptive_mean("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool1d(input, output_size):
    """`adaptive_avg_pool2d` along one dimension: (N, C, L) or (C, L) to (N, C, L') or (C, L')."""
    return adaptive_mean("adaptive_avg_pool1d", 1, input, output_size)
