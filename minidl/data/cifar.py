"""CIFAR-10 in its binary version: records of a label and the three planes of an image."""

import os
from pathlib import Path

import numpy as np

from minidl.data.idx import read_bytes
from minidl.data.images import ImageDataset, check_labels

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32


def cifar10(source, train=True):
    """CIFAR-10: 50,000 colour images to train with and 10,000 to test with (Krizhevsky, 2009).

    Parameters
    ----------
    source : str, Path, or sequence of them
        The folder with ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin`` (or ``.bin.gz``); or a file
        of that format, or several, which are read as they are.
    train : bool
        Which part of the folder.

    Returns
    -------
    ImageDataset
        Images of shape (N, 3, 32, 32), labels 0 to 9.

    Raises
    ------
    FileNotFoundError, ValueError
        That name the file which is missing or not whole.
    """
    records = np.concatenate([_records(path) for path in _files(source, train)])
    return ImageDataset(records[:, 1:].reshape(-1, *SHAPE), records[:, 0], CLASSES)


def _files(source, train):
    if not isinstance(source, (str, os.PathLike)):
        if not (files := list(source)):
            raise ValueError("cifar10: source: got no files, expected at least one")
        return files
    if not (folder := Path(source)).is_dir():
        return [source]
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if train else ["test_batch.bin"]
    return [_find(folder, name) for name in names]


def _find(folder, name):
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"cifar10: {folder}: got neither {name} nor {name}.gz there, expected one of them")


def _records(path):
    content = read_bytes("cifar10", path)
    if not content or len(content) % RECORD:
        raise ValueError(f"cifar10: {path}: got {len(content)} bytes, expected a positive multiple of {RECORD}")
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    check_labels(f"cifar10: {path}", records[:, 0], len(CLASSES))
    return records
