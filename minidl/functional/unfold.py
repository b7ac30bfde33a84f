"""Sliding windows of images as columns (unfold), and the sum of such columns as an image (fold)."""

import math
import operator

from minidl.engine import Node, as_tensor
from minidl.functional.shape import reshape
from minidl.kernels import unfold as K


class Windows(Node):
    """What both directions share: where the windows of an image are.

    Parameters
    ----------
    size : (H, W)
        Of the image.
    kernel_size, dilation, padding, stride : (int, int)
    """

    def __init__(self, size, *settings):
        super().__init__()
        self.size = size
        self.axes = [axis + (window_count(*axis),) for axis in zip(size, *settings, strict=True)]
        self.area = math.prod(axis[1] for axis in self.axes)
        self.count = math.prod(axis[-1] for axis in self.axes)

    def layout(self, planes):
        """What the kernels read as ``n``."""
        return [planes, *self.axes[0], *self.axes[1]]


class Unfold(Windows):
    """y[n, (c, k), l] = x[n, c, place of element k of window l], 0 outside the image;  dx = fold(dy)."""

    def forward(self, x):
        N, C = x.shape[:2]
        y = self.new((N, C * self.area, self.count))
        self.call(K.unfold, [y], [x], self.layout(N * C))
        return y

    def backward(self, dy):
        self.call(K.fold, [self.grad()], [dy], self.layout(dy.shape[0] * dy.shape[1] // self.area))


class Fold(Windows):
    """y[n, c, h, w] = sum of x[n, (c, k), l] where element k of window l lies at h, w;  dx = unfold(dy)."""

    def forward(self, x):
        N, C = x.shape[0], x.shape[1] // self.area
        y = self.new((N, C, *self.size))
        self.call(K.fold, [y], [x], self.layout(N * C))
        return y

    def backward(self, dy):
        self.call(K.unfold, [self.grad()], [dy], self.layout(dy.shape[0] * dy.shape[1]))


def window_count(size, kernel, dilation, padding, stride):
    """How often a window fits into one dimension."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """The sliding windows of images, each as one column.

    Parameters
    ----------
    input : float Tensor, shape (N, C, H, W) or (C, H, W)
    kernel_size : int or (int, int)
        Size of a window.
    dilation : int or (int, int)
        Distance of a window's elements from each other.
    padding : int or (int, int)
        Zeros on both sides of the image.
    stride : int or (int, int)
        Distance of the windows from each other.

    Returns
    -------
    Tensor, shape (N, C * kernel height * kernel width, L) or without N
        L windows, row by row.

    Raises
    ------
    ValueError
        If `input` has another number of dimensions, or the window is larger than the padded image.
    """
    input = as_tensor(input)
    if input.ndim not in (3, 4):
        raise ValueError(f"unfold: input has shape {input.shape}, expected (N, C, H, W) or (C, H, W)")
    node = Unfold(input.shape[-2:], *checked("unfold", input.shape[-2:], kernel_size, dilation, padding, stride))
    return batched(node, input, 4)


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """An image from the columns that `unfold` gives: where windows overlap, their elements are added.

    Parameters
    ----------
    input : float Tensor, shape (N, C * kernel height * kernel width, L) or without N
    output_size : int or (int, int)
        H and W.
    kernel_size, dilation, padding, stride : int or (int, int)
        As for `unfold`.

    Returns
    -------
    Tensor, shape (N, C, H, W) or (C, H, W)

    Raises
    ------
    ValueError
        If the number of rows or columns of `input` does not fit to the other arguments.
    """
    input = as_tensor(input)
    if input.ndim not in (2, 3):
        raise ValueError(
            f"fold: input has shape {input.shape}, expected (N, C * kernel area, L) or (C * kernel area, L)"
        )
    size = pair("fold", "output_size", output_size, 1)
    node = Fold(size, *checked("fold", size, kernel_size, dilation, padding, stride))
    rows, columns = input.shape[-2:]
    if rows % node.area:
        raise ValueError(
            f"fold: input has {rows} rows (shape {input.shape}), expected a multiple of {node.area} (kernel_size)"
        )
    if columns != node.count:
        down, across = (axis[-1] for axis in node.axes)
        raise ValueError(
            f"fold: input has {columns} columns (shape {input.shape}), expected {node.count}: "
            f"{down} x {across} windows in {size[0]} x {size[1]} (output_size)"
        )
    return batched(node, input, 3)


def batched(node, input, ndim):
    """The node's output for `input`, which may lack the batch dimension."""
    if input.ndim == ndim:
        return node.apply(input)
    y = node.apply(reshape(input, (1, *input.shape)))
    return reshape(y, y.shape[1:])


def checked(name, size, kernel_size, dilation, padding, stride):
    """The settings of the windows as pairs; ValueError if not one window fits."""
    settings = [
        pair(name, "kernel_size", kernel_size, 1),
        pair(name, "dilation", dilation, 1),
        pair(name, "padding", padding, 0),
        pair(name, "stride", stride, 1),
    ]
    for side, length, *axis in zip(("height", "width"), size, *settings, strict=True):
        if window_count(length, *axis) < 1:
            kernel, dilation, padding, _ = axis
            raise ValueError(
                f"{name}: kernel_size: got {kernel} with dilation {dilation}, which spans "
                f"{dilation * (kernel - 1) + 1}; expected at most {length + 2 * padding}, the {side} with padding"
            )
    return settings


def pair(name, argument, value, low):
    """Two integers, at least `low`, from one or two."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    try:
        values = tuple(operator.index(number) for number in values)
    except TypeError:
        raise TypeError(f"{name}: {argument}: got {value!r}, expected an integer or two") from None
    if len(values) != 2 or min(values) < low:
        raise ValueError(f"{name}: {argument}: got {value!r}, expected one or two integers >= {low}")
    return values
