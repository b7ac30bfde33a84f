"""Interpolation: images of another size."""

import functools
import math
import operator

import numpy as np

from minidl.engine import Node, as_tensor, memory
from minidl.engine.tensor import FLOATS
from minidl.functional import _backward as B
from minidl.functional.padding import Remap
from minidl.kernels import resample as K

SPATIAL = {"nearest": (1, 2), "nearest-exact": (1, 2), "linear": (1,), "bilinear": (2,)}  # dimensions of each mode


class Nearest(Remap):
    """y[.., i, j] = x[.., rows[i], columns[j]];  dx likewise from dy, added."""

    name = "interpolate"


class Bilinear(Node):
    """y = A x B, with two weights in every row of A and every column of B;  dx = A^T dy B^T.

    Parameters
    ----------
    *taps : tuple of arrays
        For each of the last dimensions, one or two: `linear_taps`.
    """

    name = "interpolate"

    def __init__(self, *taps):
        super().__init__()
        self.taps = taps

    def forward(self, x):
        outer = x.shape[: -len(self.taps)]
        y = self.new((*outer, *(len(low) for low, _, _ in self.taps)))
        down = (
            self.taps[0] if len(self.taps) == 2 else linear_taps(1, 1, None, False, x.dtype.type)
        )  # a vector: one row
        self.maps = [*down, *self.taps[-1]]
        height = x.shape[-2] if len(self.taps) == 2 else 1
        self.sizes = [math.prod(outer), len(down[0]), y.shape[-1], height, x.shape[-1]]
        self.call(K.bilinear, [y], [x, *self.maps], self.sizes, scratch=[self.row(x.dtype)])
        return y

    def backward(self, dy):
        self.call(B.resample.bilinear, [self.grad()], [dy, *self.maps], self.sizes, scratch=[self.row(dy.dtype)])

    def row(self, dtype):
        """Room for one row of x in each plane."""
        return memory.empty((self.sizes[0], self.sizes[-1]), dtype)


@functools.lru_cache(1024)
def nearest(size, count, scale, exact, dtype):
    """For each of `count` positions the nearest of `size`, in the arithmetic of `dtype` as PyTorch does it.

    Without `exact` it is the one before, PyTorch's old mode.
    """
    if exact:
        at = centres(size, count, scale, dtype) + dtype(0.5)
    else:  # for these two sizes PyTorch overlooks the scale: in images, and in the gradient of sequences
        at = step(size, count, None if count in (size, 2 * size) else scale, dtype) * np.arange(count, dtype=dtype)
    return np.floor(at.astype(np.float32)).astype(np.int64).clip(0, size - 1)


@functools.lru_cache(1024)
def linear_taps(size, count, scale, align_corners, dtype):
    """For each of `count` positions, in ascending order, the element before, the one behind and the weight of that."""
    if align_corners:
        at = np.arange(count, dtype=dtype) * (dtype(size - 1) / dtype(max(count - 1, 1)))
    else:
        at = centres(size, count, scale if count != size else None, dtype)
    low = at.astype(np.int64).clip(0, size - 1)
    weight = (at - low).astype(dtype) * (low < size - 1)
    high = low + (weight > 0)  # not behind the last, and not where a NaN next door would have no weight
    return low, high, weight


def centres(size, count, scale, dtype):
    """Where the centres of the output's elements lie in the input, counted in elements, not before the first."""
    return np.maximum(step(size, count, scale, dtype) * (np.arange(count, dtype=dtype) + dtype(0.5)) - dtype(0.5), 0)


def step(size, count, scale, dtype):
    """Distance of neighbours of the output, counted in elements of the input."""
    return dtype(1 / scale) if scale else dtype(size) / dtype(count)


def interpolate(input, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None):
    """`input` in another size.

    Parameters
    ----------
    input : Tensor, shape (N, C, L) or (N, C, H, W)
    size : int or tuple of int, optional
        Of the output: L, or H and W. Either this or `scale_factor`.
    scale_factor : float or tuple of float, optional
        The size of the output divided by that of the input; rounded down to a whole size.
    mode : {"nearest", "nearest-exact", "linear", "bilinear"}
        ``"linear"`` for (N, C, L), ``"bilinear"`` for (N, C, H, W). ``"nearest"`` takes the element before the position
        (PyTorch's old mode), ``"nearest-exact"`` the nearest.
    align_corners : bool, optional
        Linear modes only. True: the centres of the corner elements keep their places; False (default): their edges.
    recompute_scale_factor : bool, optional
        True: positions follow from the whole sizes; else from `scale_factor`, where it is given.

    Returns
    -------
    Tensor, shape (N, C, size) or (N, C, *size)

    Raises
    ------
    ValueError
        If neither or both of `size` and `scale_factor` are given, a size is less than 1, or an argument does not go
        with the mode.
    """
    input = as_tensor(input)
    dims = input.ndim - 2
    if mode not in SPATIAL:
        raise ValueError(f"interpolate: mode: got {mode!r}, expected one of {', '.join(map(repr, SPATIAL))}")
    if dims not in SPATIAL[mode]:
        wanted = " or ".join({1: "(N, C, L)", 2: "(N, C, H, W)"}[count] for count in SPATIAL[mode])
        raise ValueError(f"interpolate: input has shape {input.shape}, expected {wanted} in mode {mode!r}")
    if align_corners is not None and "nearest" in mode:
        raise ValueError(f"interpolate: align_corners: got {align_corners!r}, expected None in mode {mode!r}")
    sizes, scales = output_sizes(input.shape[2:], size, scale_factor, recompute_scale_factor)
    axes = list(zip(input.shape[2:], sizes, scales, strict=True))
    if "nearest" in mode:
        real = np.float64 if input.dtype == np.float64 else np.float32
        return Nearest(*(nearest(*axis, mode == "nearest-exact", real) for axis in axes)).apply(input)
    if input.dtype not in FLOATS:
        raise TypeError(f"interpolate: input is {input.dtype}, expected float32 or float64 in mode {mode!r}")
    return Bilinear(*(linear_taps(*axis, bool(align_corners), input.dtype.type) for axis in axes)).apply(input)


def output_sizes(shape, size, scale_factor, recompute):
    """The spatial sizes of the output, and the scale that was given for each; None if it follows from the sizes."""
    if (size is None) == (scale_factor is None):
        raise ValueError(f"interpolate: got size {size} and scale_factor {scale_factor}, expected one of them")
    if recompute and size is not None:
        raise ValueError("interpolate: recompute_scale_factor: got True with size, expected it only with scale_factor")
    if min(shape) < 1:
        raise ValueError(f"interpolate: input has spatial shape {shape}, expected at least 1 in each dimension")
    name, given = ("size", size) if scale_factor is None else ("scale_factor", scale_factor)
    given = tuple(given) if isinstance(given, (tuple, list)) else (given,) * len(shape)
    if len(given) != len(shape):
        raise ValueError(f"interpolate: {name}: got {given}, expected {len(shape)} for spatial shape {shape}")
    scales: tuple[float | None, ...] = (None,) * len(shape)
    if scale_factor is None:
        try:
            sizes = tuple(operator.index(count) for count in given)
        except TypeError:
            raise TypeError(f"interpolate: size: got {size!r}, expected integers") from None
    else:
        if not all(0 < float(scale) < math.inf for scale in given):
            raise ValueError(f"interpolate: scale_factor: got {scale_factor}, expected finite numbers > 0")
        sizes = tuple(math.floor(length * float(scale)) for length, scale in zip(shape, given, strict=True))
        scales = scales if recompute else tuple(float(scale) for scale in given)
    if min(sizes) < 1:
        raise ValueError(f"interpolate: {name}: got {given}, which makes spatial shape {sizes}, expected at least 1")
    return sizes, scales
