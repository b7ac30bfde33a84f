"""Random changes to whole batches of images, for ``DataLoader(..., transform=...)``.

A transform is any function ``transform(rng, *batch)``: it gets a NumPy generator and the arrays of a batch, which it
must not change, and returns the new ones. The loader makes a generator for every batch, from its seed, the epoch and
the number of the batch: the same seed gives the same batches, whatever else draws random numbers. ::

    def swap_halves(rng, images, labels):
        return np.roll(images, images.shape[3] // 2, axis=3), labels

Those here take images as float32 of shape (N, C, H, W), draw anew for every image of the batch, and hand on what else
is in the batch. Called with images alone, they return images alone.
"""

from minidl.data.transforms.base import Compose, Normalize, Transform
from minidl.data.transforms.color import ColorJitter, GaussianNoise
from minidl.data.transforms.erasing import Cutout, RandomErasing
from minidl.data.transforms.geometry import RandomAffine, RandomCrop, RandomHorizontalFlip, RandomVerticalFlip
from minidl.data.transforms.mixup import MixUp

__all__ = [
    "ColorJitter",
    "Compose",
    "Cutout",
    "GaussianNoise",
    "MixUp",
    "Normalize",
    "RandomAffine",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomVerticalFlip",
    "Transform",
]
