"""Small files in the formats of the data sets, and where the real ones are."""

import gzip
import os
import re
from pathlib import Path

import numpy as np
import pytest

REAL = Path(os.environ.get("MINIDL_DATA", Path(__file__).parents[2] / "shared/data"))
TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def real(name):
    if not (REAL / name).exists():
        pytest.skip(f"no {REAL / name}; MINIDL_DATA names the folder with the real data sets")
    return REAL / name


def idx(array, code=0x08):
    header = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(TYPES[code]).tobytes()


def write(path, content):
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def naming(path, *words):
    """A pattern for an error that names the file, then says these words."""
    return ".*".join(re.escape(str(word)) for word in (path, *words))


def idx_folder(folder, labels, size=28):
    """Files as MNIST's: 40 images to train with and 10 to test with."""
    folder.mkdir(exist_ok=True)
    for part, count in (("train", 40), ("t10k", 10)):
        write(folder / f"{part}-images-idx3-ubyte.gz", idx(pixels(count, size, size)))
        write(folder / f"{part}-labels-idx1-ubyte.gz", idx(np.resize(labels, count)))
    return folder


def cifar_file(path, count):
    """Records of CIFAR's binary format."""
    records = pixels(count, 3073)
    records[:, 0] = np.arange(count) % 10
    return write(path, records.tobytes())


def picture_folder(folder, classes=("cat", "dog"), count=5, size=(6, 8)):
    """PNG files in one sub-folder per class; the second class is dark."""
    image = pytest.importorskip("PIL.Image")
    for i, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for j, picture in enumerate(pixels(count, *size, 3) // (1 + 9 * i)):
            image.fromarray(picture).save(folder / name / f"{j}.png")
    return folder
