"""Transforms that change the values of pixels."""

import numpy as np

from minidl.data.transforms.base import Transform, as_range

# Shares in the brightness of a pixel (ITU-R BT.601).
RED, GREEN, BLUE = np.float32(0.2989), np.float32(0.587), np.float32(0.114)


class ColorJitter(Transform):
    """Changes brightness, contrast and saturation of each image at random, in an order drawn for the batch.

    Parameters
    ----------
    brightness, contrast, saturation : float or (float, float)
        Range of a factor; one number b stands for max(0, 1 - b) to 1 + b. The factor 0 makes the image black, evenly
        grey, or grey.

    The images are grey or RGB with values from 0 to 1, which are kept: normalise behind, not before.
    """

    def __init__(self, brightness=0.0, contrast=0.0, saturation=0.0):
        self.brightness, self.contrast, self.saturation = (
            as_range(self, name, (max(0.0, 1 - value), 1 + value) if np.ndim(value) == 0 else value, low=0)
            for name, value in [("brightness", brightness), ("contrast", contrast), ("saturation", saturation)]
        )

    def apply(self, rng, images):
        if images.shape[1] not in (1, 3):
            raise ValueError(f"ColorJitter: images: got shape {images.shape}, expected 1 or 3 channels")
        steps = [(self.brightness, black), (self.contrast, evenly_grey), (self.saturation, grey)]
        images = images.copy()
        for i in rng.permutation(3):
            between, zero = steps[i]
            if between != (1.0, 1.0):
                factor = rng.uniform(*between, (len(images), 1, 1, 1)).astype(np.float32)
                base = zero(images)
                images = np.clip(base + factor * (images - base), 0, 1, out=images)
        return images


def black(images):
    """What images with no brightness look like."""
    return np.float32(0)


def grey(images):
    """The brightness of each pixel, (N, 1, H, W)."""
    if images.shape[1] == 1:
        return images
    return RED * images[:, :1] + GREEN * images[:, 1:2] + BLUE * images[:, 2:]


def evenly_grey(images):
    """The mean brightness of each image, (N, 1, 1, 1)."""
    return grey(images).mean(axis=(1, 2, 3), keepdims=True)


class GaussianNoise(Transform):
    """Adds normal noise to every pixel.

    Parameters
    ----------
    mean, sigma : float
        Mean and standard deviation of the noise.
    clip : bool
        Keep values from 0 to 1.
    """

    def __init__(self, mean=0.0, sigma=0.1, clip=True):
        if not sigma >= 0:
            raise ValueError(f"GaussianNoise: sigma: got {sigma}, expected sigma >= 0")
        self.mean, self.sigma, self.clip = np.float32(mean), np.float32(sigma), clip

    def apply(self, rng, images):
        noise = rng.standard_normal(images.shape, np.float32)
        noise *= self.sigma
        noise += self.mean
        noise += images
        return np.clip(noise, 0, 1, out=noise) if self.clip else noise
