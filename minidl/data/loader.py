"""Batches of a data set, in an order that a seed decides."""

import operator

import numpy as np

from minidl.data.dataset import checked_seed, fetch


class DataLoader:
    """Goes through a data set in batches; each ``for`` loop is an epoch.

    Parameters
    ----------
    dataset : Dataset
        Anything with ``__len__`` and ``__getitem__``.
    batch_size : int
    shuffle : bool
        Another order in every epoch.
    drop_last : bool
        Leave out the last batch where it is smaller.
    seed : int, optional
        Decides all orders; by default drawn from the generator that `manual_seed` seeds.

    Attributes
    ----------
    epoch : int
        Epochs begun so far. The order depends on it and on the seed only: set it to go on with an earlier run.

    Examples
    --------
    >>> for x, y in DataLoader(dataset, batch_size=32, shuffle=True, seed=0):
    ...     loss = step(x, y)
    """

    def __init__(self, dataset, batch_size=1, shuffle=False, *, drop_last=False, seed=None):
        try:
            batch_size = operator.index(batch_size)
        except TypeError:
            raise TypeError(f"DataLoader: batch_size: got {batch_size!r}, expected an integer") from None
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size: got {batch_size}, expected at least 1")
        self.dataset, self.batch_size = dataset, batch_size
        self.shuffle, self.drop_last = bool(shuffle), bool(drop_last)
        self.seed = checked_seed("DataLoader", seed) if shuffle else 0
        self.epoch = 0

    def __len__(self):
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self):
        # drawn when the loop begins, not at its first batch: two loops side by side are two epochs
        return self.batches(self.next_order())

    def next_order(self):
        """Indices in the order of the next epoch."""
        epoch, self.epoch = self.epoch, self.epoch + 1
        size = len(self.dataset)
        return np.random.default_rng([self.seed, epoch]).permutation(size) if self.shuffle else np.arange(size)

    def batches(self, order):
        """The batches of one epoch: tuples of contiguous tensors."""
        for i in range(len(self)):
            yield fetch(self.dataset, order[i * self.batch_size : (i + 1) * self.batch_size])
