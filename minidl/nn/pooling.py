"""Pooling as modules; the formulas and shapes are in `minidl.functional`."""

from minidl import functional as F
from minidl.nn.module import Module


class _Pool(Module):
    """Windows that are given by their size and distance."""

    def __init__(self, kernel_size, stride, padding, ceil_mode):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool2d(_Pool):
    """Largest element of every window: `functional.max_pool2d`.

    Parameters
    ----------
    kernel_size, stride, padding, dilation : int or tuple of int
        `stride` is `kernel_size` by default.
    return_indices : bool
        Return (values, indices), the indices being places in the flattened planes.
    ceil_mode : bool
        Round the number of windows up instead of down.
    """

    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.dilation, self.return_indices = dilation, return_indices

    def forward(self, input):
        return F.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self):
        return f"{super().extra_repr()}, dilation={self.dilation}, ceil_mode={self.ceil_mode}"


class MaxPool1d(MaxPool2d):
    """Largest element of every window along one dimension: `functional.max_pool1d`; arguments as for `MaxPool2d`."""

    def forward(self, input):
        return F.max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class AvgPool1d(_Pool):
    """Mean of every window along one dimension: `functional.avg_pool1d`; arguments as for `AvgPool2d`."""

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = count_include_pad

    def forward(self, input):
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AvgPool2d(AvgPool1d):
    """Mean of every window: `functional.avg_pool2d`.

    Parameters
    ----------
    kernel_size, stride, padding : int or tuple of int
        `stride` is `kernel_size` by default.
    ceil_mode : bool
        Round the number of windows up instead of down.
    count_include_pad : bool
        Whether the mean counts the zeros of the padding.
    divisor_override : int, optional
        Divide by this instead of the number of elements.
    """

    def __init__(
        self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
    ):
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.divisor_override = divisor_override

    def forward(self, input):
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AdaptiveAvgPool2d(Module):
    """Mean of windows that cover the input: `functional.adaptive_avg_pool2d`.

    Parameters
    ----------
    output_size : int or tuple of int or None
        Number of windows; None keeps the size of the input, 1 is global pooling.
    """

    def __init__(self, output_size):
        super().__init__()
        self.output_size = output_size

    def forward(self, input):
        return F.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self):
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(AdaptiveAvgPool2d):
    """Mean of windows that cover one dimension: `functional.adaptive_avg_pool1d`."""

    def forward(self, input):
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveMaxPool2d(AdaptiveAvgPool2d):
    """Largest element of windows that cover the input: `functional.adaptive_max_pool2d`.

    Parameters
    ----------
    output_size : int or tuple of int or None
        Number of windows; None keeps the size of the input, 1 is global pooling.
    return_indices : bool
        Return (values, indices), the indices being places in the flattened planes.
    """

    def __init__(self, output_size, return_indices=False):
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input):
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(AdaptiveMaxPool2d):
    """Largest element of windows that cover one dimension: `functional.adaptive_max_pool1d`."""

    def forward(self, input):
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)
