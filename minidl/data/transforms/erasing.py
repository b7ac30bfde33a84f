"""Transforms that cover a part of the image."""

import math

import numpy as np

from minidl.data.transforms.base import Transform, as_probability, as_range

ATTEMPTS = 10


class RandomErasing(Transform):
    """Covers a rectangle of each image with probability `p` (Zhong et al., "Random erasing data augmentation", 2017).

    Parameters
    ----------
    p : float
    scale : (float, float)
        Range of the rectangle's share of the image.
    ratio : (float, float)
        Range of its height over its width.
    value : float or sequence of float
        What covers it, for all channels or for each. An image in which none of ten rectangles fits stays as it is.
    """

    def __init__(self, p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=0.0):
        self.p = as_probability(self, p)
        self.scale, self.ratio = as_range(self, "scale", scale, 0, 1), as_range(self, "ratio", ratio, 0)
        if self.ratio[0] == 0:
            raise ValueError(f"RandomErasing: ratio: got {ratio}, expected (min, max) with 0 < min")
        self.value = np.array(value, np.float32).reshape(-1, 1, 1)

    def apply(self, rng, images):
        count, _, height, width = images.shape
        area = height * width * rng.uniform(*self.scale, (count, ATTEMPTS))
        ratio = np.exp(rng.uniform(*map(math.log, self.ratio), (count, ATTEMPTS)))
        rows, columns = np.rint(np.sqrt(area * ratio)).astype(int), np.rint(np.sqrt(area / ratio)).astype(int)
        fits = (rows < height) & (columns < width)
        chosen = np.arange(count), fits.argmax(axis=1)
        erased = (rng.random(count) < self.p) & fits[chosen]
        rows, columns = rows[chosen] * erased, columns[chosen] * erased
        top, left = rng.integers(0, [height - rows + 1, width - columns + 1])
        return cover(self, images, top, top + rows, left, left + columns, self.value)


class Cutout(Transform):
    """Covers a square about a random pixel of each image, as far as it lies inside (DeVries and Taylor, 2017).

    Parameters
    ----------
    size : int
        Side of the square.
    value : float or sequence of float
        What covers it, for all channels or for each.
    """

    def __init__(self, size, value=0.0):
        if not (isinstance(size, int) and size > 0):
            raise ValueError(f"Cutout: size: got {size!r}, expected a positive integer")
        self.size, self.value = size, np.array(value, np.float32).reshape(-1, 1, 1)

    def apply(self, rng, images):
        count, _, height, width = images.shape
        top, left = rng.integers(0, [[height], [width]], (2, count)) - self.size // 2
        return cover(self, images, top, top + self.size, left, left + self.size, self.value)


def cover(transform, images, top, bottom, left, right, value):
    """Images with `value` in the given rows and columns; these are arrays of one number per image."""
    channels, height, width = images.shape[1:]
    if len(value) not in (1, channels):
        raise ValueError(
            f"{type(transform).__name__}: images: got {channels} channels (shape {images.shape}), expected {len(value)}"
        )
    row, column = np.arange(height), np.arange(width)
    rows = (row >= top[:, None]) & (row < bottom[:, None])
    columns = (column >= left[:, None]) & (column < right[:, None])
    return np.where(rows[:, None, :, None] & columns[:, None, None, :], value, images)
