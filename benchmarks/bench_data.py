"""Batches of 64 images or sequences: gathered, changed at random, read from files."""

import tempfile
from pathlib import Path

import numpy as np

from minidl.data import (
    DataLoader,
    ImageDataset,
    SequenceDataset,
    TensorDataset,
    TextSequences,
    TextWindows,
    Vocabulary,
    adding_problem,
    copy_memory,
    read_idx,
    read_series,
    sequential_images,
    temporal_order,
    windows,
)
from minidl.data import transforms as T
from minidl.data.transforms.geometry import affine

SHAPES = {"64x1x28x28": (64, 1, 28, 28), "64x3x32x32": (64, 3, 32, 32)}

TRANSFORMS = {
    "Normalize": T.Normalize(0.5, 0.25),
    "RandomHorizontalFlip": T.RandomHorizontalFlip(),
    "RandomCrop": T.RandomCrop(28, padding=4),
    "RandomCrop, reflected": T.RandomCrop(28, padding=4, padding_mode="reflect"),
    "RandomAffine": T.RandomAffine(10, (0.1, 0.1), (0.9, 1.1)),
    "ColorJitter": T.ColorJitter(0.2, 0.2, 0.2),
    "GaussianNoise": T.GaussianNoise(),
    "RandomErasing": T.RandomErasing(),
    "Cutout": T.Cutout(8),
    "MixUp": T.MixUp(num_classes=10),
}

TASKS = {task.__name__: task for task in (adding_problem, temporal_order, copy_memory)}


def batch(shape):
    """Images and labels."""
    return np.random.default_rng(0).random(shape, np.float32), np.arange(shape[0]) % 10


class Transform:
    """One transform of one batch."""

    params = [list(TRANSFORMS), list(SHAPES)]
    param_names = ["transform", "batch"]

    def setup(self, name, shape):
        self.transform, self.batch = TRANSFORMS[name], batch(SHAPES[shape])
        self.rng = np.random.default_rng(0)
        images, _ = self.transform(self.rng, *self.batch)
        assert images.shape[:2] == SHAPES[shape][:2] and not np.array_equal(images, self.batch[0])

    def time_transform(self, name, shape):
        self.transform(self.rng, *self.batch)


class NumPyAffine:
    """What `RandomAffine` costs without a kernel: the same bilinear look-up by NumPy's indexing."""

    params = [list(SHAPES)]
    param_names = ["batch"]

    def setup(self, shape):
        self.images, _ = batch(SHAPES[shape])
        self.matrices = np.tile([0.9, 0.1, 0.5, -0.1, 0.9, 0.5], (64, 1))
        np.testing.assert_allclose(self.affine(), affine(self.images, self.matrices, 0.0), atol=1e-5)

    def affine(self):
        """The images, moved."""
        height, width = self.images.shape[2:]
        padded = np.pad(self.images, ((0, 0), (0, 0), (1, 2), (1, 2)))
        m = self.matrices.astype(np.float32)[:, :, None, None]
        j, i = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
        x = np.clip(m[:, 0] * j + m[:, 1] * i + m[:, 2], -1, width) + 1
        y = np.clip(m[:, 3] * j + m[:, 4] * i + m[:, 5], -1, height) + 1
        left, top = x.astype(int), y.astype(int)
        x, y = (x - left)[:, None], (y - top)[:, None]
        n, c = np.arange(64)[:, None, None, None], np.arange(padded.shape[1])[:, None, None]
        left, top = left[:, None], top[:, None]
        upper = padded[n, c, top, left] * (1 - x) + padded[n, c, top, left + 1] * x
        lower = padded[n, c, top + 1, left] * (1 - x) + padded[n, c, top + 1, left + 1] * x
        return upper * (1 - y) + lower * y

    def time_affine(self, shape):
        self.affine()


class Epoch:
    """All batches of 6,400 images in random order."""

    params = [["bytes", "floats", "bytes, transformed"]]
    param_names = ["images"]

    def setup(self, kind):
        pixels = np.random.default_rng(0).integers(0, 256, (6400, 1, 28, 28), np.uint8)
        dataset = ImageDataset(pixels, np.arange(6400) % 10)
        dataset = TensorDataset(*dataset[:]) if kind == "floats" else dataset
        transform = TRANSFORMS["RandomAffine"] if "transformed" in kind else None
        self.loader = DataLoader(dataset, 64, shuffle=True, seed=0, transform=transform)
        assert sum(len(y) for _, y in self.loader) == 6400

    def time_epoch(self, kind):
        for _ in self.loader:
            pass


class ReadIdx:
    """10,000 images of MNIST's size, not compressed."""

    def setup(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "images")
        sizes = np.array([10000, 28, 28], ">u4").tobytes()
        self.path.write_bytes(b"\0\0\x08\x03" + sizes + bytes(range(256)) * (10000 * 784 // 256))
        assert read_idx(self.path).shape == (10000, 28, 28)

    def teardown(self):
        self.folder.cleanup()

    def time_read_idx(self):
        read_idx(self.path)


def sequence_batches(kind):
    """What gives 100 batches of 64 sequences."""
    rng = np.random.default_rng(0)
    if kind == "text, streams":
        return TextSequences(rng.integers(0, 65, 64 * 64 * 100 + 1), 64, 64)
    if kind == "text, windows":
        return DataLoader(TextWindows(rng.integers(0, 65, 6400 + 64), 64), 64, shuffle=True, seed=0)
    if kind == "series, windows":
        return DataLoader(windows(rng.normal(size=(6400 + 24, 8)), 24), 64, shuffle=True, seed=0)
    if kind == "padded":
        sequences = [rng.random((length, 4), np.float32) for length in rng.integers(19, 130, 6400)]
        return DataLoader(SequenceDataset(sequences, np.arange(6400)), 64, shuffle=True, seed=0)
    images = ImageDataset(rng.integers(0, 256, (6400, 1, 28, 28), np.uint8), np.arange(6400))
    return DataLoader(sequential_images(images, permute_seed=0), 64, shuffle=True, seed=0)


class SequenceEpoch:
    """100 batches of 64 sequences."""

    params = [["text, streams", "text, windows", "series, windows", "padded", "pixels, permuted"]]
    param_names = ["sequences"]

    def setup(self, kind):
        self.batches = sequence_batches(kind)
        sizes = [batch[0].shape for batch in self.batches]
        assert len(sizes) == 100 and all(64 in size for size in sizes)

    def time_epoch(self, kind):
        for _ in self.batches:
            pass


class Synthetic:
    """1,000 sequences of 200 steps."""

    params = [list(TASKS)]
    param_names = ["task"]

    def setup(self, name):
        self.task = TASKS[name]
        assert len(self.task(1000, 200, 0)) == 1000

    def time_task(self, name):
        self.task(1000, 200, 0)


class Text:
    """100,000 characters."""

    params = [["characters", "words"]]
    param_names = ["tokens"]

    def setup(self, kind):
        letters = np.random.default_rng(0).choice(list("abcdefgh  "), 100_000)
        self.text = "".join(letters)
        self.vocabulary = getattr(Vocabulary, kind)(self.text)
        self.ids = self.vocabulary.encode(self.text)
        assert self.vocabulary.decode(self.ids).split() == self.text.split()

    def time_encode(self, kind):
        self.vocabulary.encode(self.text)

    def time_decode(self, kind):
        self.vocabulary.decode(self.ids)


class ReadSeries:
    """10,000 rows of 13 columns, of which 3 are read."""

    def setup(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "table.csv")
        rows = [f"{i}," + ",".join(["1.5"] * 12) for i in range(10_000)]
        self.path.write_text("\n".join([",".join("abcdefghijklm"), *rows]))
        assert read_series(self.path, ["a", "b", "m"]).shape == (10_000, 3)

    def teardown(self):
        self.folder.cleanup()

    def time_read_series(self):
        read_series(self.path, ["a", "b", "m"])
