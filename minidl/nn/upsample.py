"""Modules that change the size of images, and take them apart."""

from minidl import functional as F
from minidl.nn.module import Module


class Upsample(Module):
    """Another size for (N, C, L) or (N, C, H, W): see `minidl.functional.interpolate`.

    Parameters
    ----------
    size : int or tuple of int, optional
        Of the output. Either this or `scale_factor`.
    scale_factor : float or tuple of float, optional
    mode : {"nearest", "nearest-exact", "linear", "bilinear"}
    align_corners : bool, optional
        Linear modes only.
    recompute_scale_factor : bool, optional
    """

    def __init__(self, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None):
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ValueError(f"Upsample: got size {size} and scale_factor {scale_factor}, expected one of them")
        if isinstance(scale_factor, (tuple, list)):
            scale_factor = tuple(float(factor) for factor in scale_factor)
        elif scale_factor is not None:
            scale_factor = float(scale_factor)
        self.size, self.scale_factor, self.mode = size, scale_factor, mode
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor

    def forward(self, input):
        return F.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self):
        name = "size" if self.scale_factor is None else "scale_factor"
        return f"{name}={getattr(self, name)!r}, mode={self.mode!r}"


class _Windows(Module):
    """What the two directions share."""

    def __init__(self, kernel_size, dilation, padding, stride):
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def _windows(self):
        return {name: getattr(self, name) for name in ("kernel_size", "dilation", "padding", "stride")}

    def extra_repr(self):
        return ", ".join(f"{name}={value}" for name, value in self._windows().items())


class Unfold(_Windows):
    """The sliding windows of (N, C, H, W) as columns: see `minidl.functional.unfold`.

    Parameters
    ----------
    kernel_size, dilation, padding, stride : int or (int, int)
    """

    def __init__(self, kernel_size, dilation=1, padding=0, stride=1):
        super().__init__(kernel_size, dilation, padding, stride)

    def forward(self, input):
        return F.unfold(input, **self._windows())


class Fold(_Windows):
    """Images from the columns that `Unfold` gives, added where they overlap: see `minidl.functional.fold`.

    Parameters
    ----------
    output_size : int or (int, int)
        H and W.
    kernel_size, dilation, padding, stride : int or (int, int)
    """

    def __init__(self, output_size, kernel_size, dilation=1, padding=0, stride=1):
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, input):
        return F.fold(input, self.output_size, **self._windows())

    def extra_repr(self):
        return f"output_size={self.output_size}, {super().extra_repr()}"
