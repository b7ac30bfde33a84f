"""Convolution and transposed convolution over one and two dimensions."""

import itertools
import math

import numpy as np

from minidl.engine import Node, as_tensor, memory
from minidl.functional import _backward as B
from minidl.functional._sweep import Sweep, layout
from minidl.functional.linear import ACTIVATIONS
from minidl.functional.shape import reshape
from minidl.kernels import convolution
from minidl.kernels.elementwise import fill
from minidl.kernels.kernel import get_num_threads


class _Window(Node):
    """What convolution and its transpose share: the sweeps over the smaller side and over the larger one.

    A convolution takes the larger plane (`size`) to the smaller (`out`); its gradient and the transpose go back. The
    weights are [groups * outer, inner, kh, kw], where `outer` channels per group belong to the smaller side.
    """

    role, unit_axis = "weights", 1

    def __init__(self, stride, padding, dilation, groups):
        super().__init__()
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups

    def measure(self, images, w, size, out):
        """Note all sizes."""
        channels, inner, *kernel = w.shape
        self.images, self.outer, self.inner, self.kernel = images, channels // self.groups, inner, kernel
        self.size, self.out = tuple(size), tuple(out)

    def down(self):
        """Sweep that makes the smaller side from the larger."""
        rows, columns = (
            tuple(i * d - p for i in range(k)) for k, d, p in zip(self.kernel, self.dilation, self.padding, strict=True)
        )
        area = math.prod(self.kernel)
        return Sweep(
            self.images, self.groups, self.inner, self.size, self.outer, math.prod(self.out), self.out, 0,
            (self.out[1], 1), self.stride, rows, columns, tuple(range(area)), area, self.inner * area,
            self.outer * self.inner * area,
        )  # fmt: skip

    def up(self):
        """Sweeps that spread the smaller side over the larger: one for the pixels that see the same taps."""
        height, width = self.size
        area = math.prod(self.kernel)
        axes = [list(self.phases(axis)) for axis in (0, 1)]
        for (a, rows, ups), (b, columns, lefts) in itertools.product(*axes):
            sources = tuple(i * self.kernel[1] + j for i, _ in ups for j, _ in lefts)
            yield Sweep(
                self.images, self.groups, self.outer, self.out, self.inner, height * width, (rows, columns),
                a * width + b, (self.stride[0] * width, self.stride[1]), (1, 1), tuple(u for _, u in ups),
                tuple(v for _, v in lefts), sources, self.inner * area, area, self.outer * self.inner * area,
            )  # fmt: skip

    def phases(self, axis):
        """(first pixel, number of pixels, [(tap, its distance)]) for each remainder by the stride."""
        stride, dilation, padding = self.stride[axis], self.dilation[axis], self.padding[axis]
        for first in range(min(stride, self.size[axis])):
            distances = [(tap, first + padding - tap * dilation) for tap in range(self.kernel[axis])]
            taps = [(tap, distance // stride) for tap, distance in distances if distance % stride == 0]
            yield first, math.ceil((self.size[axis] - first) / stride), taps

    def correlate(self, sweep, y, x, w, bias=None, mask=None, activation=0):
        """Make what one sweep covers of y."""
        plan = layout(sweep, y.dtype, get_num_threads())
        tables = [plan.taps, plan.sources, plan.places, plan.runs]
        scratch = [memory.empty(plan.workspace, y.dtype)]
        self.call(convolution.correlate, [y], [x, mask, w, bias, *tables], [*plan.sizes, activation], scratch=scratch)

    def correlate_weight(self, dw, db, larger, smaller, mask=None):
        """Make dw, and db if there is one, from the two sides."""
        plan = layout(self.down(), smaller.dtype, get_num_threads(), split=False)
        tables = [plan.taps, plan.places, plan.runs]
        scratch = [memory.empty(plan.weight_workspace, smaller.dtype)]
        inputs = [larger, smaller, mask, *tables]
        self.call(convolution.correlate_weight, [dw, db], inputs, plan.weight_sizes, scratch=scratch)

    def spread(self, y, x, w, bias=None, mask=None):
        """Make the larger side from the smaller."""
        sweeps = list(self.up())
        if len(sweeps) > 1:  # each makes a part: nothing is left to chance in between, nor where no tap reaches
            self.call(fill, [y], [], [math.prod(y.shape)], [0.0])
        for sweep in sweeps:
            if bias is not None or (sweep.rows and sweep.columns):
                self.correlate(sweep, y, x, w, bias, mask)


class Conv(_Window):
    """y[r] = f(b + sum over taps i of w[i] x[r s + i d - p]), zeros outside; f is none or relu."""

    def __init__(self, out, stride, padding, dilation, groups, activation):
        super().__init__(stride, padding, dilation, groups)
        self.out, self.activation = out, activation

    def forward(self, x, w, b=None):
        self.measure(x.shape[0], w, x.shape[2:], self.out)
        y = self.new((x.shape[0], w.shape[0], *self.out))
        self.correlate(self.down(), y, x, w, b, activation=ACTIVATIONS[self.activation])
        self.y = y.array if self.activation else None
        self.x, self.w = x.array, w.array
        return y

    def backward(self, dy):
        dx, dw = self.grad(0), self.grad(1)
        db = self.grad(2) if len(self.inputs) > 2 else None
        if dx is not None:
            self.spread(dx, dy, self.w, mask=self.y)
        if dw is not None or db is not None:
            dw = memory.empty(self.w.shape, dy.dtype) if dw is None else dw
            self.correlate_weight(dw, db, self.x, dy, self.y)


class ConvTranspose(_Window):
    """The gradient of `Conv` for its input, as an operation."""

    def __init__(self, size, stride, padding, dilation, groups):
        super().__init__(stride, padding, dilation, groups)
        self.size = size

    def forward(self, x, w, b=None):
        self.measure(x.shape[0], w, self.size, x.shape[2:])
        y = self.new((x.shape[0], self.groups * self.inner, *self.size))
        self.spread(y, x, w, b)
        self.x, self.w = x.array, w.array
        return y

    def backward(self, dy):
        dx, dw = self.grad(0), self.grad(1)
        db = self.grad(2) if len(self.inputs) > 2 else None
        if dx is not None:
            self.correlate(self.down(), dx, dy, self.w)
        if dw is not None:
            self.correlate_weight(dw, None, dy, self.x)
        if db is not None:
            area = math.prod(self.size)
            self.call(B.convolution.channel_sum, [db], [dy], [self.images, dy.shape[1], area])


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, activation=None):
    """Cross-correlation of images with `weight`, plus `bias`, through `activation` if there is one.

    Parameters
    ----------
    input : Tensor, shape (N, C, H, W) or (C, H, W)
    weight : Tensor, shape (out_channels, C / groups, kh, kw)
    bias : Tensor, shape (out_channels,), optional
    stride, dilation : int or (int, int)
    padding : int, (int, int), "valid" or "same"
        Zeros around the images; "same" keeps their size and needs a stride of 1.
    groups : int
        Parts of the channels that do not see each other.
    activation : {None, "relu"}
        Applied while the sums are still in registers.

    Returns
    -------
    Tensor, shape (N, out_channels, (H + 2 padding - dilation (kh - 1) - 1) // stride + 1, ...)
    """
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups, activation)


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, activation=None):
    """Cross-correlation of sequences with `weight`, as `conv2d`.

    Parameters
    ----------
    input : Tensor, shape (N, C, L) or (C, L)
    weight : Tensor, shape (out_channels, C / groups, k)

    Returns
    -------
    Tensor, shape (N, out_channels, (L + 2 padding - dilation (k - 1) - 1) // stride + 1)
    """
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups, activation)


def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Transposed convolution: the gradient of `conv2d` for its input.

    Parameters
    ----------
    input : Tensor, shape (N, C, H, W) or (C, H, W)
    weight : Tensor, shape (C, out_channels / groups, kh, kw)
    bias : Tensor, shape (out_channels,), optional
    stride, padding, dilation, groups
        Those of the convolution.
    output_padding : int or (int, int)
        Added to the size of the result, of which the convolution loses it: several sizes give the same one.

    Returns
    -------
    Tensor, shape (N, out_channels, (H - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1, ...)
    """
    return _conv_transpose(
        "conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Transposed convolution of sequences, as `conv_transpose2d`.

    Parameters
    ----------
    input : Tensor, shape (N, C, L) or (C, L)
    weight : Tensor, shape (C, out_channels / groups, k)
    """
    return _conv_transpose(
        "conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def _conv(name, dims, input, weight, bias, stride, padding, dilation, groups, activation):
    if activation not in ACTIVATIONS:
        raise ValueError(f"{name}: activation: got {activation!r}, expected None or 'relu'")
    tensors, channels, groups = _tensors(name, dims, input, weight, bias, groups)
    x, w = tensors[:2]
    if channels != w.shape[1] * groups:
        raise ValueError(
            f"{name}: input has {channels} channels (shape {x.shape}), expected {w.shape[1] * groups} "
            f"for weight of shape {w.shape} and {groups} group(s)"
        )
    if w.shape[0] % groups:
        raise ValueError(f"{name}: groups: got {groups}, which does not divide the {w.shape[0]} output channels")
    _expect_bias(name, tensors, w.shape[0])
    stride = sizes_of(name, "stride", stride, dims, 1)
    dilation = sizes_of(name, "dilation", dilation, dims, 1)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:], strict=True)]
    size = x.shape[-dims:]
    if padding == "same":
        if max(stride) > 1:
            raise ValueError(f"{name}: padding 'same' needs stride 1, got {stride}")
        padding, out = tuple((span - 1) // 2 for span in spans), size
    else:
        padding = sizes_of(name, "padding", 0 if padding == "valid" else padding, dims, 0)
        padded = [n + 2 * p for n, p in zip(size, padding, strict=True)]
        if any(n < span for n, span in zip(padded, spans, strict=True)):
            raise ValueError(
                f"{name}: kernel of size {w.shape[2:]} with dilation {dilation} covers {tuple(spans)}, more than the "
                f"padded input {tuple(padded)} (shape {x.shape}, padding {padding})"
            )
        out = tuple((n - span) // s + 1 for n, span, s in zip(padded, spans, stride, strict=True))
    node = Conv(_plane(out, 1), _plane(stride, 1), _plane(padding, 0), _plane(dilation, 1), groups, activation)
    return _apply(node, dims, tensors)


def _conv_transpose(name, dims, input, weight, bias, stride, padding, output_padding, groups, dilation):
    tensors, channels, groups = _tensors(name, dims, input, weight, bias, groups)
    x, w = tensors[:2]
    if channels != w.shape[0]:
        raise ValueError(
            f"{name}: input has {channels} channels (shape {x.shape}), expected {w.shape[0]} "
            f"for weight of shape {w.shape}"
        )
    if channels % groups:
        raise ValueError(f"{name}: groups: got {groups}, which does not divide the {channels} input channels")
    _expect_bias(name, tensors, w.shape[1] * groups)
    stride = sizes_of(name, "stride", stride, dims, 1)
    dilation = sizes_of(name, "dilation", dilation, dims, 1)
    padding = sizes_of(name, "padding", padding, dims, 0)
    extra = sizes_of(name, "output_padding", output_padding, dims, 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ValueError(
            f"{name}: output_padding: got {extra}, expected less than stride {stride} or dilation {dilation}"
        )
    size = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(x.shape[-dims:], stride, padding, dilation, w.shape[2:], extra, strict=True)
    )
    if min(size) < 1:
        raise ValueError(f"{name}: the output would be of size {size} for input of shape {x.shape}, padding {padding}")
    node = ConvTranspose(_plane(size, 1), _plane(stride, 1), _plane(padding, 0), _plane(dilation, 1), groups)
    return _apply(node, dims, tensors)


def _tensors(name, dims, input, weight, bias, groups):
    """The inputs as tensors, the number of channels, and the groups, checked as far as both convolutions agree."""
    tensors = [as_tensor(value) for value in (input, weight, bias) if value is not None]
    x, w = tensors[:2]
    if w.ndim != dims + 2 or 0 in w.shape:
        wanted = "(channels, channels, " + ", ".join(["kh", "kw"] if dims == 2 else ["k"]) + ")"
        raise ValueError(f"{name}: weight has shape {w.shape}, expected {wanted}, none of them 0")
    if x.ndim not in (dims + 1, dims + 2):
        raise ValueError(
            f"{name}: input has shape {x.shape}, expected {dims + 2} dimensions, or {dims + 1} for one image"
        )
    for argument, tensor in zip(("weight", "bias"), tensors[1:], strict=False):
        if tensor.dtype != x.dtype:
            raise TypeError(f"{name}: input is {x.dtype}, but {argument} is {tensor.dtype}; expected the same dtype")
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: input is {x.dtype}, expected a float dtype")
    (groups,) = sizes_of(name, "groups", groups, 1, 1)
    return tensors, x.shape[-dims - 1], groups


def _expect_bias(name, tensors, channels):
    if len(tensors) > 2 and tensors[2].shape != (channels,):
        raise ValueError(f"{name}: bias has shape {tensors[2].shape}, expected ({channels},)")


def sizes_of(name, argument, value, dims, least):
    """`value` as a tuple of `dims` integers, none below `least`."""
    sizes = tuple(value) if isinstance(value, (tuple, list)) else (value,) * dims
    if len(sizes) == 1:
        sizes *= dims
    if len(sizes) != dims or not all(isinstance(n, (int, np.integer)) and n >= least for n in sizes):
        wanted = f"an integer >= {least}" + (f" or {dims} of them" if dims > 1 else "")
        raise ValueError(f"{name}: {argument}: got {value!r}, expected {wanted}")
    return tuple(int(n) for n in sizes)


def _plane(sizes, missing):
    """Two numbers where there may be one: a sequence is an image of height 1."""
    return (missing,) * (2 - len(sizes)) + tuple(sizes)


def _apply(node, dims, tensors):
    """Result of a node over images for inputs that may be sequences, and a single one."""
    x, w, *bias = tensors
    images = (1 if x.ndim == dims + 1 else x.shape[0], x.shape[-dims - 1], *_plane(x.shape[-dims:], 1))
    y = node.apply(_shaped(x, images), _shaped(w, (*w.shape[:2], *_plane(w.shape[2:], 1))), *bias)
    return _shaped(y, (*(y.shape[1:2] if x.ndim == dims + 1 else y.shape[:2]), *y.shape[4 - dims :]))


def _shaped(x, shape):
    return x if x.shape == shape else reshape(x, shape)
