"""Batches of sequences without padding, and where their steps are."""

from typing import NamedTuple

import numpy as np

from minidl import engine
from minidl.engine import as_tensor
from minidl.functional import cat, getitem
from minidl.tensor import Tensor


class _Fields(NamedTuple):
    data: engine.Tensor
    batch_sizes: engine.Tensor
    sorted_indices: engine.Tensor | None
    unsorted_indices: engine.Tensor | None


class PackedSequence(_Fields):
    """A batch of sequences without padding: the first steps of all, then the second steps, and so on.

    The sequences are in the order of decreasing length, so that those that go on come first. Made by
    `pack_padded_sequence` and `pack_sequence`. What works on single steps works on `data`:
    ``packed._replace(data=layer(packed.data))``.

    Parameters
    ----------
    data : Tensor, shape (total number of steps, ...)
    batch_sizes : int64 Tensor, shape (T,)
        How many sequences have a step t: at least 1, and never more than before.
    sorted_indices : int64 Tensor, shape (B,), optional
        For each sequence of the packed batch its place in the batch that was packed; None if they are the same.
    unsorted_indices : int64 Tensor, shape (B,), optional
        The inverse; found from `sorted_indices` if not given.
    """

    __slots__ = ()

    def __new__(cls, data, batch_sizes, sorted_indices=None, unsorted_indices=None):
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        order, inverse = (None if x is None else as_tensor(x) for x in (sorted_indices, unsorted_indices))
        return super().__new__(cls, as_tensor(data), as_tensor(batch_sizes), order, inverse)

    def lengths(self):
        """int64 Tensor, shape (B,): the lengths in the order of the packed batch."""
        return Tensor(self.steps().sum(0))

    def padded(self):
        """Tensor, shape (T, B, ...): the sequences in the order of the packed batch, and zeros behind them."""
        return with_padding([self.data], numbered(self.steps()), 0.0)

    def repack(self, padded):
        """The same sequences with values from `padded`, which has the shape (T, B, ...) of `padded()`."""
        return self._replace(data=getitem(padded, self.steps().nonzero()))

    def steps(self):
        """Array of bool, shape (T, B): whether sequence b of the packed batch has a step t.

        Raises
        ------
        ValueError
            If the sizes are none of a packed batch, or do not add up to the number of steps in `data`.
        """
        sizes = integers("PackedSequence", "batch_sizes", self.batch_sizes)
        if not sizes.size or sizes[-1] < 1 or np.any(np.diff(sizes) > 0):
            raise ValueError(f"PackedSequence: batch_sizes: got {sizes.tolist()}, expected sizes >= 1 that do not grow")
        total = sizes.sum()
        if self.data.shape[:1] != (total,):
            raise ValueError(
                f"PackedSequence: data has shape {self.data.shape}, expected ({total}, ...), the sum of batch_sizes"
            )
        return np.arange(sizes[0]) < sizes[:, None]


def invert_permutation(permutation):
    """The int64 Tensor p with p[permutation[i]] = i; None for None."""
    if permutation is None:
        return None
    order = integers("invert_permutation", "permutation", permutation)
    inverse = np.argsort(order)
    if not np.array_equal(order[inverse], np.arange(order.size)):
        raise ValueError(f"invert_permutation: got {order.tolist()}, expected every number from 0 to {order.size - 1}")
    return Tensor(inverse)


def integers(name, argument, values):
    """A list of integers as an array; they decide on shapes, so a recording refuses those that change."""
    if isinstance(values, engine.Tensor):
        values.check_readable(
            f"{name}: reading {argument}", "give the layer the padded input and lengths=, which it reads at every step"
        )
    array = as_tensor(values).array
    if array.ndim != 1:
        raise ValueError(f"{name}: {argument}: got shape {array.shape}, expected one dimension")
    if array.size and array.dtype != np.int64:
        raise TypeError(f"{name}: {argument}: got dtype {array.dtype}, expected integers")
    return array


def numbered(steps):
    """For each step its number among all steps, in memory order; -1 for padding."""
    return np.where(steps, steps.cumsum().reshape(steps.shape) - 1, -1)


def with_padding(pieces, numbers, padding_value):
    """The rows of all pieces at their numbers; at -1 a row of padding, which stands behind them."""
    first = pieces[0]
    padding = Tensor(np.full((1, *first.shape[1:]), padding_value, first.dtype))
    return getitem(cat([*pieces, padding]), numbers)
