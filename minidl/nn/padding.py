"""Padding as modules; the formulas are in `minidl.functional.padding`.

`padding` is one number for all sides, or (left, right), or (left, right, top, bottom). Negative numbers cut.
"""

import operator

from minidl import functional as F
from minidl.engine import as_tensor
from minidl.nn.module import Module


class _Pad(Module):
    """What all share: `dims` last dimensions, padded in one `mode`."""

    dims: int
    mode: str

    def __init__(self, padding):
        super().__init__()
        sides = 2 * self.dims
        try:
            values = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * sides
            self.padding = tuple(operator.index(count) for count in values)
        except TypeError:
            raise TypeError(f"{type(self).__name__}: padding: got {padding!r}, expected integers") from None
        if len(self.padding) != sides:
            raise ValueError(f"{type(self).__name__}: padding: got {padding!r}, expected one integer or {sides}")

    def forward(self, input):
        input = as_tensor(input)
        if input.ndim not in (self.dims + 1, self.dims + 2):
            wanted = "(N, C, L) or (C, L)" if self.dims == 1 else "(N, C, H, W) or (C, H, W)"
            raise ValueError(f"{self}: input has shape {input.shape}, expected {wanted}")
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self):
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """`value` on the sides of the last dimensions, however many there are in front."""

    def __init__(self, padding, value):
        super().__init__(padding)
        self.value = value

    def forward(self, input):
        return F.pad(input, self.padding, value=self.value)

    def extra_repr(self):
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """`value` on both ends of the last dimension."""

    dims = 1


class ConstantPad2d(_ConstantPad):
    """`value` around the last two dimensions."""

    dims = 2


class ZeroPad1d(ConstantPad1d):
    """Zeros on both ends of the last dimension."""

    def __init__(self, padding):
        super().__init__(padding, 0.0)

    extra_repr = _Pad.extra_repr


class ZeroPad2d(ConstantPad2d):
    """Zeros around the last two dimensions."""

    def __init__(self, padding):
        super().__init__(padding, 0.0)

    extra_repr = _Pad.extra_repr


class ReflectionPad1d(_Pad):
    """The mirror image, without the edge, on both ends of (N, C, L) or (C, L)."""

    dims, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """The mirror image, without the edge, around (N, C, H, W) or (C, H, W)."""

    dims, mode = 2, "reflect"


class ReplicationPad1d(_Pad):
    """The first and the last element on the ends of (N, C, L) or (C, L)."""

    dims, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """The nearest edge around (N, C, H, W) or (C, H, W)."""

    dims, mode = 2, "replicate"


class CircularPad1d(_Pad):
    """The other end on both ends of (N, C, L) or (C, L)."""

    dims, mode = 1, "circular"


class CircularPad2d(_Pad):
    """The other side around (N, C, H, W) or (C, H, W)."""

    dims, mode = 2, "circular"
