"""Transforms that move pixels: flips, crops, rotations, shifts, zooms."""

import numpy as np

from minidl.data.images import as_size
from minidl.data.transforms.base import Transform, as_probability, as_range
from minidl.engine.tape import Call
from minidl.kernels import warp


class _RandomFlip(Transform):
    """Mirrors each image along `axis` with probability `p`."""

    axis: int

    def __init__(self, p=0.5):
        self.p = as_probability(self, p)

    def apply(self, rng, images):
        flipped, result = rng.random(len(images)) < self.p, images.copy()
        result[flipped] = np.flip(images[flipped], self.axis)
        return result


class RandomHorizontalFlip(_RandomFlip):
    """Mirrors each image left to right with probability `p`.

    Parameters
    ----------
    p : float
    """

    axis = 3


class RandomVerticalFlip(_RandomFlip):
    """Mirrors each image top to bottom with probability `p`.

    Parameters
    ----------
    p : float
    """

    axis = 2


class RandomCrop(Transform):
    """Cuts a window out of each image, at random.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the result.
    padding : int, optional
        Pixels put around the images before.
    fill : float
        Their value where the mode is constant.
    padding_mode : {"constant", "edge", "reflect", "symmetric"}
    """

    def __init__(self, size, padding=None, *, fill=0.0, padding_mode="constant"):
        self.size, self.padding, self.fill = as_size("RandomCrop", size), padding, fill
        self.padding_mode = padding_mode
        if padding is not None and not (isinstance(padding, int) and padding >= 0):
            raise ValueError(f"RandomCrop: padding: got {padding!r}, expected an integer >= 0 or None")
        if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise ValueError(
                f"RandomCrop: padding_mode: got {padding_mode!r}, expected 'constant', 'edge', 'reflect' or 'symmetric'"
            )

    def apply(self, rng, images):
        if self.padding:
            around = ((0, 0), (0, 0), (self.padding, self.padding), (self.padding, self.padding))
            values = {"constant_values": self.fill} if self.padding_mode == "constant" else {}
            images = np.pad(images, around, self.padding_mode, **values)
        count, _, height, width = images.shape
        rows, columns = height - self.size[0], width - self.size[1]
        if rows < 0 or columns < 0:
            raise ValueError(
                f"RandomCrop: images: got {height} x {width} pixels with the padding, "
                f"expected at least {self.size[0]} x {self.size[1]}"
            )
        top, left = rng.integers(0, [[rows + 1], [columns + 1]], (2, count))
        windows = np.lib.stride_tricks.sliding_window_view(images, self.size, (2, 3))
        return windows[np.arange(count), :, top, left]


class RandomAffine(Transform):
    """Rotates, shifts and zooms each image about its centre, at random; pixels are blended from four (bilinear).

    Parameters
    ----------
    degrees : float or (float, float)
        Range of the angle, clockwise; one number stands for -degrees to degrees.
    translate : (float, float), optional
        Largest shift to either side, horizontally and vertically, as a share of width and height. Unlike torchvision's,
        shifts are no whole pixels.
    scale : (float, float), optional
        Range of the zoom.
    fill : float
        Value of what lies outside the image.
    """

    def __init__(self, degrees, translate=None, scale=None, *, fill=0.0):
        self.degrees = as_range(self, "degrees", (-degrees, degrees) if np.ndim(degrees) == 0 else degrees)
        self.translate = (0.0, 0.0) if translate is None else tuple(np.atleast_1d(translate).tolist())
        if len(self.translate) != 2 or not all(0 <= part <= 1 for part in self.translate):
            raise ValueError(f"RandomAffine: translate: got {translate}, expected two shares from 0 to 1")
        self.scale = (1.0, 1.0) if scale is None else as_range(self, "scale", scale, low=0)
        if self.scale[0] == 0:
            raise ValueError(f"RandomAffine: scale: got {scale}, expected (min, max) with 0 < min")
        self.fill = fill

    def apply(self, rng, images):
        count, _, height, width = images.shape
        angle = np.deg2rad(rng.uniform(*self.degrees, count))
        scale = rng.uniform(*self.scale, count)
        right = width * self.translate[0] * rng.uniform(-1, 1, count)
        down = height * self.translate[1] * rng.uniform(-1, 1, count)
        # from a pixel of the result back to the source: undo the shift, then turn and zoom back about the centre
        c, s = np.cos(angle) / scale, np.sin(angle) / scale
        x, y = (width - 1) / 2, (height - 1) / 2
        across = c, s, x - c * (x + right) - s * (y + down)
        below = -s, c, y + s * (x + right) - c * (y + down)
        return affine(images, np.stack([*across, *below], axis=1), self.fill)


def affine(images, matrices, fill):
    """Images whose pixel (column j, row i) is the source's at column m0 j + m1 i + m2, row m3 j + m4 i + m5.

    Parameters
    ----------
    images : ndarray of float32, shape (N, C, H, W)
    matrices : ndarray, shape (N, 6)
    fill : float
    """
    count, channels, height, width = images.shape
    source = np.full((count, channels, height + 3, width + 3), fill, np.float32)
    source[:, :, 1:-2, 1:-2] = images
    result, matrices = np.empty_like(images, order="C"), np.ascontiguousarray(matrices, np.float32)
    Call(warp.affine, [result], [source, matrices], images.shape, [], result.dtype, "affine", "forward").run()
    return result
