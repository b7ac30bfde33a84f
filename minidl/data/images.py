"""Labelled images, kept as bytes."""

import numpy as np

from minidl.data.dataset import Dataset
from minidl.tensor import Tensor


class ImageDataset(Dataset):
    """Images with labels. They are kept as bytes and handed out as float32 from 0 to 1.

    Bytes take a quarter of the memory of floats; a batch of them is converted when it is asked for.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, C, H, W)
        Shared, not copied, where it is contiguous.
    labels : ndarray of integers, shape (N,)
    classes : sequence of str, optional
        Names of the labels 0, 1, ...

    Attributes
    ----------
    images : ndarray of uint8
    labels : ndarray of int64
    classes : tuple of str, or None

    Raises
    ------
    TypeError, ValueError
        If dtypes or shapes do not fit, or a label has no class.

    Examples
    --------
    >>> x, y = dataset[:]  # all of them: float32 (N, C, H, W) and int64 (N,)
    """

    def __init__(self, images, labels, classes=None):
        self.images, labels = np.ascontiguousarray(images), np.asarray(labels)  # gathering from strides copies them all
        self.classes = None if classes is None else tuple(classes)
        if self.images.dtype != np.uint8 or labels.dtype.kind not in "iu":
            raise TypeError(
                f"ImageDataset: got {self.images.dtype} images and {labels.dtype} labels, expected uint8 and integers; "
                "for images of another kind there is TensorDataset"
            )
        if self.images.ndim != 4 or labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"ImageDataset: got images of shape {self.images.shape} and labels of shape {labels.shape}, "
                "expected (N, C, H, W) and (N,)"
            )
        self.labels = labels.astype(np.int64)
        if self.classes is not None:
            check_labels("ImageDataset", self.labels, len(self.classes))

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return to_float(self.images[index]), self.labels[index]

    def batch(self, indices):
        """The images and labels at `indices`."""
        return Tensor(to_float(self.images.take(indices, axis=0))), Tensor(self.labels.take(indices))


def as_size(function, size):
    """Height and width, checked.

    Parameters
    ----------
    function : str
        For the error.
    size : int or (int, int)
    """
    pair = (size, size) if np.ndim(size) == 0 else tuple(size)
    if len(pair) != 2 or not all(isinstance(part, (int, np.integer)) and part > 0 for part in pair):
        raise ValueError(f"{function}: size: got {size!r}, expected a positive integer or a pair (height, width)")
    return pair


def to_float(pixels):
    """Bytes as float32 from 0 to 1."""
    return np.divide(pixels, np.float32(255), dtype=np.float32)


def check_labels(where, labels, classes):
    """ValueError if a label is none of `classes` classes.

    Parameters
    ----------
    where : str
        For the error: function, and file if there is one.
    labels : ndarray of integers, shape (N,)
    classes : int
    """
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if bad.size:
        raise ValueError(f"{where}: label {bad[0]} is {labels[bad[0]]}, expected 0 <= label < {classes}")
