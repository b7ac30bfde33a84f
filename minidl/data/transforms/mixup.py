"""Batches of blended examples."""

import numpy as np

from minidl.data.images import check_labels
from minidl.data.transforms.base import as_images


class MixUp:
    """Blends each example with its neighbour in the batch, labels too (Zhang et al., "mixup", 2018).

    The share of the one is drawn from Beta(alpha, alpha), once for the batch. Shuffle: neighbours should be strangers.

    Parameters
    ----------
    alpha : float
    num_classes : int

    Examples
    --------
    >>> loader = DataLoader(train, 64, shuffle=True, transform=MixUp(alpha=0.2, num_classes=10))
    >>> for x, y in loader:  # y: class probabilities, float32 (N, 10)
    ...     loss = F.cross_entropy(model(x), y)
    """

    def __init__(self, *, alpha=1.0, num_classes):
        if not 0 < alpha < np.inf:
            raise ValueError(f"MixUp: alpha: got {alpha}, expected a finite alpha > 0")
        self.alpha, self.num_classes = alpha, num_classes

    def __call__(self, rng, images, labels):
        """Blended images, and class probabilities for `labels`, which may be some already.

        Parameters
        ----------
        rng : numpy.random.Generator
        images : ndarray of float32, shape (N, C, H, W)
        labels : ndarray of int64, shape (N,), or of float32, shape (N, num_classes)

        Returns
        -------
        images : ndarray of float32, shape (N, C, H, W)
        probabilities : ndarray of float32, shape (N, num_classes)
        """
        images, labels = as_images(self, images), self.probabilities(np.asarray(labels), len(images))
        share = np.float32(rng.beta(self.alpha, self.alpha))
        return tuple(share * part + (1 - share) * np.roll(part, 1, axis=0) for part in (images, labels))

    def probabilities(self, labels, count):
        """One row of class probabilities per label."""
        if labels.dtype.kind == "i" and labels.shape == (count,):
            check_labels("MixUp", labels, self.num_classes)
            return (labels[:, None] == np.arange(self.num_classes)).astype(np.float32)
        if labels.dtype == np.float32 and labels.shape == (count, self.num_classes):
            return labels
        raise ValueError(
            f"MixUp: labels: got {labels.dtype} of shape {labels.shape}, "
            f"expected int64 ({count},) or float32 ({count}, {self.num_classes})"
        )
