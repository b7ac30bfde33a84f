"""Sequences as data sets: of different lengths, cut from a longer one, or made of pixels."""

import numpy as np

from minidl.data.dataset import Dataset, checked_count, checked_seed, fetch
from minidl.engine import as_array
from minidl.tensor import Tensor


class SequenceDataset(Dataset):
    """Sequences of different lengths. A batch is padded with zeros behind their ends and comes with the lengths.

    Items and batches are ``(sequence, length, label)``, for models that are called ``model(sequences, lengths)``.

    Parameters
    ----------
    sequences : sequence of arrays, each of shape (T_i, ...)
        Of one dtype; fitting arrays are shared, not copied. Usually (T_i, F), or (T_i,) for tokens.
    labels : ndarray, shape (N, ...)
    multiple : int
        A batch is padded to its longest sequence, rounded up to a multiple of this. A recorded step is recorded anew
        for every shape: few of them cost less than some steps of padding. 1 rounds nothing; what is no less than the
        longest sequence of all gives all batches one length.

    Attributes
    ----------
    sequences : list of ndarray
    lengths : ndarray of int64, shape (N,)
    labels : ndarray

    Raises
    ------
    TypeError, ValueError
        If a sequence is empty or does not fit the first, or there is not one label for each.

    Examples
    --------
    >>> for x, lengths, y in DataLoader(dataset, 32, shuffle=True):  # (B, T, F), (B,), (B,)
    ...     loss = step(x, lengths, y)
    """

    def __init__(self, sequences, labels, multiple=8):
        self.sequences, self.lengths = _checked("SequenceDataset", sequences)
        self.labels = as_array(labels)
        self.multiple = checked_count("SequenceDataset", "multiple", multiple)
        if self.labels.shape[:1] != self.lengths.shape:
            raise ValueError(
                f"SequenceDataset: got {len(self.sequences)} sequences and labels of shape {self.labels.shape}, "
                "expected a label for each"
            )

    def __len__(self):
        return len(self.sequences)

    def __getitem__(self, index):
        return self.sequences[index], self.lengths[index], self.labels[index]

    def batch(self, indices):
        """The sequences at `indices`, padded; their lengths; their labels."""
        padded, lengths = _padded([self.sequences[i] for i in indices.tolist()], self.lengths[indices], self.multiple)
        return Tensor(padded), Tensor(lengths), Tensor(self.labels.take(indices, axis=0))


def pad(sequences, multiple=1):
    """Stack sequences of different lengths, with zeros behind the ends of the shorter ones.

    Parameters
    ----------
    sequences : sequence of arrays, each of shape (T_i, ...)
        Of one dtype.
    multiple : int
        The longest length is rounded up to a multiple of this.

    Returns
    -------
    padded : ndarray, shape (B, T, ...)
    lengths : ndarray of int64, shape (B,)

    Raises
    ------
    TypeError, ValueError
        If there are no sequences, or one of them is empty or does not fit the first.
    """
    arrays, lengths = _checked("pad", sequences)
    return _padded(arrays, lengths, checked_count("pad", "multiple", multiple))


def _checked(function, sequences):
    """The sequences as arrays, and their lengths."""
    sequences = [as_array(sequence) for sequence in sequences]
    if not sequences:
        raise ValueError(f"{function}: got no sequences, expected at least one")
    first = sequences[0]
    for i, sequence in enumerate(sequences):
        if not (sequence.ndim and len(sequence)):
            raise ValueError(f"{function}: sequence {i}: got shape {sequence.shape}, expected at least one step")
        if sequence.shape[1:] != first.shape[1:]:
            raise ValueError(
                f"{function}: sequence {i}: got shape {sequence.shape}, expected (T, ...) "
                f"as sequence 0 of shape {first.shape}, all but its length"
            )
        if sequence.dtype != first.dtype:
            raise TypeError(f"{function}: sequence {i}: got {sequence.dtype}, expected {first.dtype} as sequence 0")
    return sequences, np.array([len(sequence) for sequence in sequences])


def _padded(sequences, lengths, multiple):
    longest = -(-lengths.max() // multiple) * multiple
    padded = np.zeros((len(sequences), longest, *sequences[0].shape[1:]), sequences[0].dtype)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return padded, lengths


class Windows(Dataset):
    """Stretches of longer arrays that may overlap: only the batches are copies.

    Parameters
    ----------
    *views : ndarray, each of shape (N, ...)
        Usually made by NumPy's ``sliding_window_view``.

    Examples
    --------
    >>> x, y = dataset[:]  # all of them: copies
    """

    def __init__(self, *views):
        self.views = views

    def __len__(self):
        return len(self.views[0])

    def __getitem__(self, index):
        return tuple(view[index].copy() for view in self.views)

    def batch(self, indices):
        """The stretches at `indices`, one gather per array."""
        return tuple(Tensor(as_array(view[indices])) for view in self.views)


def sequential_images(dataset, permute_seed=None):
    """Images as sequences of pixels, row by row, or in an order drawn at random (Le, Jaitly and Hinton, 2015).

    With MNIST, who knows nothing is right in 11.35 % of the test images, which show a 1, and has a cross entropy of
    ln 10 = 2.303.

    Parameters
    ----------
    dataset : Dataset
        Gives images of shape (C, H, W), and labels: an ImageDataset, or a Subset of one.
    permute_seed : int, optional
        Decides the order of the pixels, the same for all images: use one seed to train and to test. By default row by
        row.

    Returns
    -------
    Dataset
        Sequences of shape (H W, C), converted when they are asked for; labels as they were.

    Raises
    ------
    ValueError
        If the data set is empty or its items are no images.

    Examples
    --------
    >>> train = sequential_images(mnist(FOLDER), permute_seed=0)  # float32 (784, 1) and int64
    """
    return _PixelSequences(dataset, permute_seed)


class _PixelSequences(Dataset):
    def __init__(self, dataset, permute_seed):
        if not len(dataset):
            raise ValueError("sequential_images: got an empty data set, expected images")
        shape = np.shape(dataset[0][0])
        if len(shape) != 3:
            raise ValueError(f"sequential_images: got items of shape {shape}, expected images (C, H, W)")
        self.dataset, self.order = dataset, np.arange(shape[1] * shape[2])
        if permute_seed is not None:
            seed = checked_seed("sequential_images", permute_seed)
            self.order = np.random.default_rng(seed).permutation(self.order)

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        image, label = self.dataset[index]
        return self._sequences(image), label

    def batch(self, indices):
        """The sequences and labels at `indices`."""
        images, labels = fetch(self.dataset, indices)
        return Tensor(as_array(self._sequences(images.array))), labels

    def _sequences(self, images):
        """Pixels in their order: (..., C, H, W) to (..., H W, C)."""
        pixels = images.reshape(*images.shape[:-2], -1)
        return pixels.swapaxes(-1, -2)[..., self.order, :]
