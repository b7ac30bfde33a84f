"""Convolutional layers."""

import math

import numpy as np

from minidl import functional as F
from minidl.engine import memory
from minidl.functional.convolution import sizes_of
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.values import float_dtype
from minidl.tensor import Parameter

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """Weights, sizes and initial values of all convolutional layers."""

    dims: int
    transposed = False

    def __init__(self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, mode, dtype):
        super().__init__()
        name = type(self).__name__
        (self.in_channels,) = sizes_of(name, "in_channels", in_channels, 1, 1)
        (self.out_channels,) = sizes_of(name, "out_channels", out_channels, 1, 1)
        (self.groups,) = sizes_of(name, "groups", groups, 1, 1)
        for argument, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{name}: groups: got {groups}, which does not divide {argument} {channels}")
        if mode not in PADDING_MODES[: 1 if self.transposed else None]:
            raise ValueError(f"{name}: padding_mode: got {mode!r}, expected one of {PADDING_MODES}")
        self.kernel_size = sizes_of(name, "kernel_size", kernel_size, self.dims, 1)
        self.stride = sizes_of(name, "stride", stride, self.dims, 1)
        self.dilation = sizes_of(name, "dilation", dilation, self.dims, 1)
        self.padding = padding if isinstance(padding, str) else sizes_of(name, "padding", padding, self.dims, 0)
        if isinstance(padding, str) and (self.transposed or padding not in ("valid", "same")):
            wanted = "integers" if self.transposed else "integers, 'valid' or 'same'"
            raise ValueError(f"{name}: padding: got {padding!r}, expected {wanted}")
        if padding == "same" and max(self.stride) > 1:
            raise ValueError(f"{name}: padding 'same' needs stride 1, got {self.stride}")
        self.padding_mode = mode
        dtype = float_dtype(name, dtype)
        outer, inner = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = Parameter(memory.empty((outer, inner // groups, *self.kernel_size), dtype))
        self.bias = Parameter(np.zeros(out_channels, dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self):
        """Draw new initial values."""
        init.normal_(self.weight, std=math.sqrt(2 / self.fan_in()))
        if self.bias is not None:
            init.zeros_(self.bias)

    def reset_parameters_torch(self):
        """Draw PyTorch's initial values: weights and biases uniform within 1 / sqrt(fan), fan = weight[0].size."""
        fan = math.prod(self.weight.shape[1:])
        init.torch_uniform_(self.weight, fan)
        if self.bias is not None:
            init.torch_uniform_(self.bias, fan)

    def fan_in(self):
        """Number of inputs that an output sums up, on average."""
        inputs = self.in_channels // self.groups * math.prod(self.kernel_size)
        return inputs / math.prod(self.stride) if self.transposed else inputs

    def extra_repr(self):
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        defaults = {"padding": (0,) * self.dims, "output_padding": (0,) * self.dims, "dilation": (1,) * self.dims}
        for name, default in {**defaults, "groups": 1, "padding_mode": "zeros"}.items():
            value = getattr(self, name, default)
            if value != default:
                parts.append(f"{name}={value!r}")
        if self.bias is None:
            parts.append("bias=False")
        return ", ".join(parts)


class _Conv(_Convolution):
    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
        padding_mode="zeros", dtype="float32",
    ):  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, dtype
        )

    def forward(self, input, activation=None):
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self.margins(), mode=self.padding_mode), 0
        convolve = F.conv1d if self.dims == 1 else F.conv2d
        return convolve(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups, activation=activation
        )

    def margins(self):
        """Padding before and behind each dimension, the last first, as `F.pad` takes it."""
        if self.padding == "valid":
            return [0] * (2 * self.dims)
        if self.padding == "same":
            spans = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return [size for span in reversed(spans) for size in (span // 2, span - span // 2)]
        return [size for size in reversed(self.padding) for _ in range(2)]


class Conv1d(_Conv):
    """Cross-correlation of sequences with `out_channels` kernels.

    Weights start from He's normal distribution (He et al. 2015; fan-in, gain sqrt 2), biases from 0.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int
    padding : int, "valid" or "same"
    groups : int
        Parts of the channels that do not see each other; as many as channels makes the layer depthwise.
    bias : bool
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
    dtype : dtype or str

    Shapes
    ------
    input : (N, in_channels, L) or (in_channels, L)
    output : (N, out_channels, (L + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1)
    weight : (out_channels, in_channels / groups, kernel_size)
    bias : (out_channels,)
    """

    dims, fuses_relu = 1, True


class Conv2d(_Conv):
    """Cross-correlation of images with `out_channels` kernels.

    Weights start from He's normal distribution (He et al. 2015; fan-in, gain sqrt 2), biases from 0.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or (int, int)
    padding : int, (int, int), "valid" or "same"
    groups : int
        Parts of the channels that do not see each other; as many as channels makes the layer depthwise.
    bias : bool
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
    dtype : dtype or str

    Shapes
    ------
    input : (N, in_channels, H, W) or (in_channels, H, W)
    output : (N, out_channels, (H + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1, ...)
    weight : (out_channels, in_channels / groups, kh, kw)
    bias : (out_channels,)
    """

    dims, fuses_relu = 2, True


class _ConvTranspose(_Convolution):
    transposed = True

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1, bias=True,
        dilation=1, padding_mode="zeros", dtype="float32",
    ):  # fmt: skip
        self.output_padding = sizes_of(type(self).__name__, "output_padding", output_padding, self.dims, 0)
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, dtype
        )

    def forward(self, input):
        convolve = F.conv_transpose1d if self.dims == 1 else F.conv_transpose2d
        return convolve(
            input, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution of sequences: the gradient of `Conv1d` for its input, as a layer.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation, groups : int
        Those of the convolution.
    output_padding : int
        Added to the length of the output.
    bias : bool
    dtype : dtype or str

    Shapes
    ------
    input : (N, in_channels, L) or (in_channels, L)
    output : (N, out_channels, (L - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1)
    weight : (in_channels, out_channels / groups, kernel_size)
    bias : (out_channels,)
    """

    dims = 1


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution of images: the gradient of `Conv2d` for its input, as a layer.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : int or (int, int)
        Those of the convolution.
    output_padding : int or (int, int)
        Added to the size of the output.
    groups : int
    bias : bool
    dtype : dtype or str

    Shapes
    ------
    input : (N, in_channels, H, W) or (in_channels, H, W)
    output : (N, out_channels, (H - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1, ...)
    weight : (in_channels, out_channels / groups, kh, kw)
    bias : (out_channels,)
    """

    dims = 2
