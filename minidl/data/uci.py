"""The 8x8 handwritten digits of UCI, shipped with the package; see DIGITS.md for where they come from."""

from pathlib import Path

import numpy as np

from minidl.data.dataset import TensorDataset
from minidl.data.images import ImageDataset

FILE = Path(__file__).with_name("digits.npz")

# Mean and standard deviation of the training pixels, which count the dark points (0 to 16) in 4x4 cells of the scans.
MEAN, STD = 4.886852, 6.018171


def digits(train=True):
    """Handwritten digits: 1,437 to train with and 360 (20 %) to test with.

    The split is fixed and shipped with the data: of each class, one image in five, chosen at random.

    Parameters
    ----------
    train : bool
        Which part.

    Returns
    -------
    TensorDataset
        Inputs float32, shape (N, 64), standardised; labels int64, shape (N,), 0 to 9.
    """
    with np.load(FILE) as file:
        part = file["test"] != train
        return TensorDataset(standardize(file["pixels"][part]), file["labels"][part].astype(np.int64))


def digit_images(train=True):
    """The same as an ImageDataset: bytes from 0 to 16, shape (N, 1, 8, 8)."""
    with np.load(FILE) as file:
        part = file["test"] != train
        return ImageDataset(file["pixels"][part].reshape(-1, 1, 8, 8), file["labels"][part], "0123456789")


def standardize(pixels):
    """Pixels from 0 to 16 as float32 with mean 0 and variance 1 over the training set."""
    return ((np.asarray(pixels, np.float32) - np.float32(MEAN)) / np.float32(STD)).astype(np.float32)
