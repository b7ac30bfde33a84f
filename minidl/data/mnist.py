"""MNIST, and the sets that come in files of the same names and format."""

from pathlib import Path

import numpy as np

from minidl.data.idx import read_idx
from minidl.data.images import ImageDataset, check_labels

DIGITS = tuple("0123456789")
CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def mnist(folder, train=True):
    """MNIST: 60,000 handwritten digits to train with and 10,000 to test with (LeCun, Cortes, Burges, 1998).

    Parameters
    ----------
    folder : str or Path
        Holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` or the same with ``t10k``; ``.idx3-ubyte`` and
        ``.gz`` are found too.
    train : bool
        Which part.

    Returns
    -------
    ImageDataset
        Images of shape (N, 1, 28, 28), labels 0 to 9.

    Raises
    ------
    FileNotFoundError, ValueError
        That name the file which is missing, not whole, or does not fit the other.
    """
    return _read("mnist", folder, train, DIGITS)


def fashion_mnist(folder, train=True):
    """Fashion-MNIST: 60,000 pictures of clothes to train with and 10,000 to test with (Xiao, Rasul, Vollgraf, 2017).

    Parameters, result and errors are those of `mnist`; the files have the same names.
    """
    return _read("fashion_mnist", folder, train, CLOTHES)


def _read(function, folder, train, classes):
    part = "train" if train else "t10k"
    image_path = _find(function, folder, f"{part}-images", "idx3-ubyte")
    label_path = _find(function, folder, f"{part}-labels", "idx1-ubyte")
    images = _read_bytes_of(function, image_path, "(N, H, W)", 3)
    labels = _read_bytes_of(function, label_path, "(N,)", 1)
    if len(labels) != len(images):
        raise ValueError(
            f"{function}: {label_path}: got {len(labels)} labels, expected {len(images)} as there are images "
            f"in {image_path}"
        )
    check_labels(f"{function}: {label_path}", labels, len(classes))
    return ImageDataset(images[:, None], labels, classes)


def _find(function, folder, stem, kind):
    names = [f"{stem}{dot}{kind}{packed}" for packed in ("", ".gz") for dot in "-."]
    for name in names:
        if (path := Path(folder, name)).is_file():
            return path
    raise FileNotFoundError(f"{function}: {folder}: got none of these files there, expected one: {', '.join(names)}")


def _read_bytes_of(function, path, shape, ndim):
    array = read_idx(path)
    if array.dtype != np.uint8 or array.ndim != ndim:
        raise ValueError(f"{function}: {path}: got {array.dtype} of shape {array.shape}, expected uint8 {shape}")
    return array
