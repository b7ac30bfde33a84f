"""Batches of a data set, in an order that a seed decides."""

import numpy as np

from minidl.data.dataset import as_tuple, checked_count, checked_seed, fetch
from minidl.engine import as_array
from minidl.tensor import Tensor


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
        Decides all orders and transforms; by default drawn from the generator that `manual_seed` seeds.
    transform : callable, optional
        ``transform(rng, *batch)`` gets a NumPy generator and the arrays of every batch, and returns an array or a tuple
        of arrays: what the loader gives instead. See `minidl.data.transforms`.

    Attributes
    ----------
    epoch : int
        Epochs begun so far. Order and transforms depend on it and the seed only: set it to go on with an earlier run.

    Examples
    --------
    >>> for x, y in DataLoader(dataset, batch_size=32, shuffle=True, seed=0):
    ...     loss = step(x, y)
    """

    def __init__(self, dataset, batch_size=1, shuffle=False, *, drop_last=False, seed=None, transform=None):
        self.dataset, self.batch_size = dataset, checked_count("DataLoader", "batch_size", batch_size)
        self.shuffle, self.drop_last = bool(shuffle), bool(drop_last)
        if transform is not None and not callable(transform):
            raise TypeError(f"DataLoader: transform: got {transform!r}, expected a function transform(rng, *batch)")
        self.transform = transform
        self.seed = checked_seed("DataLoader", seed) if shuffle or transform is not None else 0
        self.epoch = 0

    def __len__(self):
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self):
        # counted when the loop begins, not at its first batch: two loops side by side are two epochs
        epoch, self.epoch = self.epoch, self.epoch + 1
        return self.batches(epoch)

    def order(self, epoch):
        """Indices in the order of an epoch."""
        size = len(self.dataset)
        return np.random.default_rng([self.seed, epoch]).permutation(size) if self.shuffle else np.arange(size)

    def batches(self, epoch):
        """The batches of one epoch: tuples of contiguous tensors."""
        order = self.order(epoch)
        for i in range(len(self)):
            batch = fetch(self.dataset, order[i * self.batch_size : (i + 1) * self.batch_size])
            yield batch if self.transform is None else self.transformed(batch, epoch, i)

    def transformed(self, batch, epoch, index):
        """A batch behind the transform, whose random numbers depend on nothing but seed, epoch and index."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, epoch], spawn_key=[index]))
        result = self.transform(rng, *(np.asarray(part) for part in batch))
        try:
            return tuple(Tensor(as_array(part)) for part in as_tuple(result))
        except (TypeError, ValueError) as error:
            raise TypeError(f"DataLoader: transform: expected arrays back, got {result!r:.200}: {error}") from error
