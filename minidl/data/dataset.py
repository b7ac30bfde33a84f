"""Data sets: what has a length and items, and hands out whole batches."""

import math
import operator

import numpy as np

from minidl.engine import as_array, generator
from minidl.tensor import Tensor


class Dataset:
    """Base class of data sets. A subclass gives ``__len__`` and ``__getitem__``; each item is a tuple.

    The loader accepts any object with these two methods; inheriting adds `batch`, which may be overridden where many
    items can be had at once.
    """

    def __len__(self):
        raise NotImplementedError(f"{type(self).__name__}: __len__")

    def __getitem__(self, index):
        raise NotImplementedError(f"{type(self).__name__}: __getitem__")

    def batch(self, indices):
        """The items at `indices`, stacked.

        Parameters
        ----------
        indices : ndarray of int64, shape (B,)

        Returns
        -------
        tuple of Tensor, each of shape (B, ...)
        """
        items = [self[i] for i in indices.tolist()]
        items = [item if isinstance(item, tuple) else (item,) for item in items]
        return tuple(
            Tensor(as_array(np.stack([as_array(part) for part in parts]))) for parts in zip(*items, strict=True)
        )


class TensorDataset(Dataset):
    """Rows of one or more tensors or arrays of the same length.

    Parameters
    ----------
    *tensors : Tensor or ndarray, each of shape (N, ...)
        Fitting arrays are shared, not copied. Usually inputs and targets.

    Attributes
    ----------
    tensors : tuple of ndarray
    """

    def __init__(self, *tensors):
        if not tensors:
            raise ValueError("TensorDataset: got no tensors, expected at least one")
        self.tensors = tuple(as_array(t.array if isinstance(t, Tensor) else t) for t in tensors)
        shapes = [array.shape for array in self.tensors]
        if any(not shape for shape in shapes) or len({shape[0] for shape in shapes}) > 1:
            raise ValueError(f"TensorDataset: got shapes {shapes}, expected the same first size in all")

    def __len__(self):
        return len(self.tensors[0])

    def __getitem__(self, index):
        return tuple(array[index] for array in self.tensors)

    def batch(self, indices):
        """The rows at `indices`, one gather per tensor."""
        return tuple(Tensor(array.take(indices, axis=0)) for array in self.tensors)


class Subset(Dataset):
    """Some items of a data set.

    Parameters
    ----------
    dataset : Dataset
    indices : sequence of int
    """

    def __init__(self, dataset, indices):
        self.dataset, self.indices = dataset, np.asarray(indices, np.int64)
        if self.indices.size and not (self.indices.min() >= 0 and self.indices.max() < len(dataset)):
            raise IndexError(
                f"Subset: got indices in [{self.indices.min()}, {self.indices.max()}], "
                f"expected 0 <= index < {len(dataset)}"
            )

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, index):
        return self.dataset[int(self.indices[index])]

    def batch(self, indices):
        """The items at `indices` of the subset."""
        return fetch(self.dataset, self.indices[indices])


def as_tuple(result):
    """What a function returned, as a tuple of results."""
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)


def fetch(dataset, indices):
    """A batch of any object that has items."""
    return dataset.batch(indices) if isinstance(dataset, Dataset) else Dataset.batch(dataset, indices)


def random_split(dataset, lengths, seed=None):
    """Split a data set at random into parts that do not overlap.

    Parameters
    ----------
    dataset : Dataset
    lengths : sequence of int or of float
        Sizes that sum to the size of the set, or fractions that sum to 1; what rounding leaves over goes to the
        first parts, one item each.
    seed : int, optional
        By default drawn from the generator that `manual_seed` seeds.

    Returns
    -------
    list of Subset
    """
    sizes = split_sizes("random_split", len(dataset), lengths)
    order = np.random.default_rng(checked_seed("random_split", seed)).permutation(len(dataset))
    ends = np.cumsum(sizes)
    return [Subset(dataset, order[end - part : end]) for part, end in zip(sizes, ends, strict=True)]


def split_sizes(function, size, lengths):
    """Sizes of the parts of `size` items, from sizes or fractions as in `random_split`."""
    sizes = list(lengths)
    if sizes and all(0 <= part <= 1 for part in sizes) and math.isclose(sum(sizes), 1):
        sizes = [math.floor(size * fraction) for fraction in sizes]
        for i in range(size - sum(sizes)):
            sizes[i % len(sizes)] += 1
    elif not all(isinstance(part, (int, np.integer)) and part >= 0 for part in sizes) or sum(sizes) != size:
        raise ValueError(
            f"{function}: lengths: got {list(lengths)}, expected sizes that sum to {size}, or fractions to 1"
        )
    return sizes


def checked_count(function, name, value, least=1):
    """`value` as an integer of at least `least`."""
    try:
        value = operator.index(value)
    except TypeError:
        raise TypeError(f"{function}: {name}: got {value!r}, expected an integer") from None
    if value < least:
        raise ValueError(f"{function}: {name}: got {value}, expected at least {least}")
    return value


def checked_seed(function, seed):
    """`seed`, or one drawn from the engine's generator."""
    if seed is None:
        return int(generator.numpy.integers(2**63))
    try:
        seed = operator.index(seed)
    except TypeError:
        raise TypeError(f"{function}: seed: got {seed!r}, expected an integer >= 0 or None") from None
    if seed < 0:
        raise ValueError(f"{function}: seed: got {seed}, expected an integer >= 0")
    return seed
