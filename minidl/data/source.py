"""Finding out what a folder of training data holds."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minidl.data.cifar import cifar10
from minidl.data.dataset import random_split
from minidl.data.folder import image_folder
from minidl.data.images import ImageDataset
from minidl.data.mnist import fashion_mnist, mnist
from minidl.data.uci import digit_images

TEST_SHARE = 0.2  # of the images, where no others are there to test with
FIRST_CLOTHES = [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]  # the first labels of Fashion-MNIST, whose files are named as MNIST's


@dataclass(frozen=True)
class Source:
    """Images to train with and images to test with.

    Attributes
    ----------
    name : str
        What was found.
    train, test : ImageDataset
        Of the same shape and classes.
    kind : {"digits", "objects", "unknown"}
        What is on the images: objects may be mirrored, digits may not.
    highest : int
        The largest value that a pixel can have.
    """

    name: str
    train: ImageDataset
    test: ImageDataset
    kind: str = "unknown"
    highest: int = 255


def find_images(source, size=None, seed=0):
    """The data set in a folder, recognised by its files.

    Parameters
    ----------
    source : str or Path
        "digits" for those that come with minidl; or a folder: with the idx files of MNIST or Fashion-MNIST; with
        CIFAR's binary files, of which those with "test" in their names are for testing; with one sub-folder of images
        per class; or with a ``train`` and a ``test`` folder of such sub-folders.
    size : int or (int, int), optional
        Height and width that images in sub-folders are resized to.
    seed : int
        Which images to test with, where the folder does not say.

    Returns
    -------
    Source

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such folder, if nothing in it is known, or if a file is not what it should be.
    """
    if str(source) == "digits":
        return Source("digits", digit_images(), digit_images(train=False), "digits", highest=16)
    folder = Path(source)
    if not folder.is_dir():
        raise FileNotFoundError(f"no such folder: {folder}; expected one, or digits")
    names = sorted(path.name for path in folder.iterdir())
    if any("-idx3-" in name or ".idx3-" in name for name in names):
        return _idx(folder)
    binary = [folder / name for name in names if name.endswith((".bin", ".bin.gz"))]
    if binary:
        return _cifar(folder, binary, seed)
    if any(path.is_dir() and not path.name.startswith(".") for path in folder.iterdir()):
        return _folders(folder, size, seed)
    raise ValueError(
        f"{folder}: got {', '.join(names[:5]) or 'nothing'} there, expected MNIST's idx files, CIFAR's .bin files, "
        "or one sub-folder of images per class"
    )


def _idx(folder):
    train = mnist(folder)
    if train.labels[: len(FIRST_CLOTHES)].tolist() == FIRST_CLOTHES:
        return Source("Fashion-MNIST", fashion_mnist(folder), fashion_mnist(folder, train=False), "objects")
    return Source("MNIST", train, mnist(folder, train=False), "digits")


def _cifar(folder, files, seed):
    if any(path.name.startswith("data_batch_") for path in files):  # the original: none of its files may be missing
        return Source("CIFAR-10", cifar10(folder), cifar10(folder, train=False), "objects")
    test = [path for path in files if "test" in path.name]
    train = [path for path in files if path not in test]
    if not train:
        raise ValueError(f"{folder}: got only {test[0].name} to test with, expected files to train with too")
    name = f"CIFAR-10 format ({len(files)} files)"
    first, second = (cifar10(train), cifar10(test)) if test else _split(cifar10(train), seed)
    return Source(name, first, second, "objects")


def _folders(folder, size, seed):
    if not ((folder / "train").is_dir() and (folder / "test").is_dir()):
        train, test = _split(image_folder(folder, size), seed)
        return Source(_classes(train), train, test)
    train, test = image_folder(folder / "train", size), image_folder(folder / "test", size)
    for what, got, expected in (
        ("classes", test.classes, train.classes),
        ("images of shape", test.images.shape[1:], train.images.shape[1:]),
    ):
        if got != expected:
            raise ValueError(f"{folder / 'test'}: got {what} {got}, expected {expected} as in {folder / 'train'}")
    return Source(_classes(train), train, test)


def _classes(images):
    return f"image folders of {len(images.classes)} classes"


def _split(images, seed):
    """Images to train with and to test with, at random."""
    parts = random_split(images, [1 - TEST_SHARE, TEST_SHARE], seed=seed)
    if not all(map(len, parts)):
        raise ValueError(f"got {len(images)} images, expected at least 5, to train and to test with")
    return [ImageDataset(images.images[part.indices], images.labels[part.indices], images.classes) for part in parts]


def pixel_statistics(images):
    """Mean and standard deviation of every channel.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, C, H, W)

    Returns
    -------
    mean, std : list of float
        Of pixels from 0 to 1; std is 1 for a channel that never changes.
    """
    counts = np.zeros((images.shape[1], 256), np.int64)
    for part in np.array_split(images, len(images) // 1000 + 1):  # bincount makes 8 bytes of each
        for channel, count in enumerate(counts):
            count += np.bincount(part[:, channel].ravel(), minlength=256)
    levels, total = np.arange(256) / 255, counts.sum(axis=1)
    mean = counts @ levels / total
    variance = (counts * (levels - mean[:, None]) ** 2).sum(axis=1) / total
    return mean.tolist(), [float(np.sqrt(v)) or 1.0 for v in variance]
