"""The data of patients as NumPy arrays, what has been done to it, and its batches.

("digits",) ("digit_images",)          8x8 digits as 64 numbers, and as (1, 8, 8)
("digit_rows",) ("digit_pixels",)      as sequences of 8 rows, and of 64 pixels
("mnist",) ("mnist_rows",)             4000 images of MNIST to train with, 1000 to test with: 784 numbers, 28 rows
("adding", T) ("order", T)             the adding problem and temporal order over T steps
("copy", T)                            the copy task with 3 symbols and a target for every step
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minidl import data

REAL = Path(os.environ.get("MINIDL_DATA", Path(__file__).parents[2] / "shared/data"))
COPIED = 3  # symbols to remember in the copy task
TRAIN, TEST = 8000, 1000  # sequences that are made up


class Part(NamedTuple):
    """The inputs, each with a row per sample, and the targets."""

    inputs: tuple
    target: np.ndarray


def available(patient):
    """Whether the data of a patient is here: all is made up or shipped, except MNIST."""
    return not patient.data[0].startswith("mnist") or (REAL / "mnist").exists()


def parts(patient):
    """What to train with, and what to test with."""
    train, test = (Part((x.copy(),), y.copy()) for x, y in _clean(*patient.data))
    for operation, *values in patient.done:
        train, test = OPERATIONS[operation](train, False, *values), OPERATIONS[operation](test, True, *values)
    return train, test


@lru_cache(maxsize=4)
def _clean(name, *numbers):
    if name in MADE_UP:
        sets = MADE_UP[name](TRAIN, *numbers, seed=1), MADE_UP[name](TEST, *numbers, seed=2)
        return [tuple(array.numpy() if hasattr(array, "numpy") else array for array in s.tensors) for s in sets]
    if name.startswith("digit"):
        sets = [tuple(s.tensors) for s in (data.digits(True), data.digits(False))]
        shape = {"digits": (64,), "digit_images": (1, 8, 8), "digit_rows": (8, 8), "digit_pixels": (64, 1)}[name]
    else:
        sets = [data.mnist(REAL / "mnist", train)[np.arange(n)] for train, n in ((True, 4000), (False, 1000))]
        sets = [((x - 0.13) / 0.31, y) for x, y in sets]
        shape = {"mnist": (784,), "mnist_rows": (28, 28)}[name]
    return [(np.asarray(x, np.float32).reshape(-1, *shape), np.asarray(y, np.int64)) for x, y in sets]


def _copy(size, length, seed):
    return data.copy_memory(size, length, seed, symbols=COPIED)


MADE_UP = {"adding": data.adding_problem, "order": data.temporal_order, "copy": _copy}


class Batches:
    """The batches of a training, always the same: tuples (inputs ..., target) of arrays.

    Parameters
    ----------
    part : Part
    size, count : int
        Samples in a batch, and batches.
    seed : int
        Decides the order.
    """

    def __init__(self, part, size, count, seed):
        self.part, self.size, self.count, self.seed = part, size, count, seed

    def __len__(self):
        return self.count

    def __iter__(self):
        rng = np.random.default_rng(self.seed)
        arrays, rows = (*self.part.inputs, self.part.target), np.empty(0, int)
        for _ in range(self.count):
            if len(rows) < self.size:
                rows = rng.permutation(len(self.part.target))
            yield tuple(array[rows[: self.size]] for array in arrays)
            rows = rows[self.size :]


def score(output, target):
    """Share of right answers: classes, also as one-hot targets; sums that are off by less than 0.1."""
    if target.ndim == 2 and target.dtype.kind == "i":  # of the copy task, the symbols count
        output, target = output[:, -COPIED:], target[:, -COPIED:]
    if target.dtype.kind == "i":
        return float(np.mean(output.argmax(-1) == target))
    if target.shape[1] == 1:
        return float(np.mean(abs(output - target) < 0.1))
    return float(np.mean(output.argmax(1) == target.argmax(1)))


# What can be done to data: functions (part, whether it is to test with, values ...) to a part.


def _scale(part, test, factor, shift=0.0):
    x, *others = part.inputs
    return Part((x * np.float32(factor) + np.float32(shift), *others), part.target)


def _constant(part, test, value):
    """Every input is the same number: a file that was not read."""
    return Part((np.full_like(part.inputs[0], value),), part.target)


def _feature(part, test, index, factor, shift=0.0):
    """One feature in a unit of its own."""
    part.inputs[0][..., index] = part.inputs[0][..., index] * factor + shift
    return part


def _shuffle_labels(part, test):
    """Labels that have lost their order: in the test set they are right."""
    order = np.random.default_rng(0).permutation(len(part.target))
    return part if test else Part(part.inputs, part.target[order])


def _spoil(part, test, share, value, step=None):
    """A share of the samples to train with has one spoiled number, at a time step where one is given."""
    x = part.inputs[0]
    if not test:
        rows = np.random.default_rng(0).random(len(x)) < share
        x[rows, 0 if step is None else step, ...] = value
    return part


def _blank(part, test, share):
    """A share of the samples to train with is empty: zeros."""
    if not test:
        part.inputs[0][np.random.default_rng(0).random(len(part.target)) < share] = 0
    return part


def _one_hot(part, test, scale):
    return Part(part.inputs, np.eye(10, dtype=np.float32)[part.target] * np.float32(scale))


def _pad(part, test, steps):
    """Zeros behind the ends of all sequences."""
    x = part.inputs[0]
    return Part((np.pad(x, ((0, 0), (0, steps), (0, 0))),), part.target)


def _lengths(part, test, length):
    """Tell the model the lengths."""
    return Part((part.inputs[0], np.full(len(part.target), length)), part.target)


def _ignore(part, test, steps):
    """The targets of the last steps do not count (they are -100)."""
    if not test:
        part.target[:, -steps:] = -100
    return part


OPERATIONS = {
    "scale": _scale,
    "constant": _constant,
    "feature": _feature,
    "shuffle_labels": _shuffle_labels,
    "spoil": _spoil,
    "blank": _blank,
    "one_hot": _one_hot,
    "pad": _pad,
    "lengths": _lengths,
    "ignore": _ignore,
}
