"""What transforms have in common, and the two that draw nothing."""

import numpy as np

from minidl.data.dataset import as_tuple


class Transform:
    """Base class of transforms that change the images of a batch and nothing else; a subclass gives `apply`."""

    def __call__(self, rng, images, *rest):
        """The changed images, with what else is in the batch.

        Parameters
        ----------
        rng : numpy.random.Generator
        images : ndarray of float32, shape (N, C, H, W)
        *rest : ndarray
            Labels, for example; returned as they are.

        Returns
        -------
        ndarray, or tuple of ndarray where there is something else
        """
        images = self.apply(rng, as_images(self, images))
        return (images, *rest) if rest else images

    def apply(self, rng, images):
        """The changed images, in memory of their own."""
        raise NotImplementedError(f"{type(self).__name__}: apply")


class Compose:
    """Several transforms, one after the other.

    Parameters
    ----------
    transforms : sequence of callable
        Those of this package, or functions ``transform(rng, *batch)``.
    """

    def __init__(self, transforms):
        self.transforms = list(transforms)

    def __call__(self, rng, *batch):
        for transform in self.transforms:
            batch = as_tuple(transform(rng, *batch))
        return batch if len(batch) > 1 else batch[0]


class Normalize(Transform):
    """(images - mean) / std, per channel.

    Parameters
    ----------
    mean, std : float or sequence of float
        One for all channels, or one per channel; of pixels from 0 to 1.
    """

    def __init__(self, mean, std):
        self.mean, self.std = (np.array(value, np.float32).reshape(-1, 1, 1) for value in (mean, std))
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and (self.std > 0).all()):
            raise ValueError(f"Normalize: got mean {mean} and std {std}, expected finite numbers and std > 0")

    def apply(self, rng, images):
        channels = images.shape[1]
        if not {len(self.mean), len(self.std)} <= {1, channels}:
            raise ValueError(
                f"Normalize: images: got {channels} channels (shape {images.shape}), "
                f"expected {max(len(self.mean), len(self.std))}"
            )
        images = images - self.mean
        images /= self.std
        return images


def as_images(transform, value):
    """`value` as an array, checked."""
    images = np.asarray(value)
    name = type(transform).__name__
    if images.dtype != np.float32:
        raise TypeError(f"{name}: images: got dtype {images.dtype}, expected float32")
    if images.ndim != 4:
        raise ValueError(f"{name}: images: got shape {images.shape}, expected (N, C, H, W)")
    return images


def as_probability(transform, p):
    """`p`, checked."""
    if not 0 <= p <= 1:
        raise ValueError(f"{type(transform).__name__}: p: got {p}, expected 0 <= p <= 1")
    return p


def as_range(transform, name, value, low=-np.inf, high=np.inf):
    """Two ascending numbers from `low` to `high`, checked."""
    pair = tuple(np.atleast_1d(value).tolist())
    if len(pair) != 2 or not (low <= pair[0] <= pair[1] <= high and np.isfinite(pair).all()):
        raise ValueError(
            f"{type(transform).__name__}: {name}: got {value}, expected (min, max) with {low} <= min <= max <= {high}"
        )
    return pair
