"""Figures that are computed with NumPy from what a step returns: they cost no second forward pass."""

import numpy as np


def accuracy(output, target):
    """Share of rows whose largest output is at the target's class.

    Parameters
    ----------
    output : ndarray of float, shape (N, C)
        Scores, or anything that orders the classes as they do.
    target : ndarray of int64, shape (N,), or of float, shape (N, C)
        Classes, or their probabilities: the largest is the one that counts.

    Returns
    -------
    float
    """
    if output.ndim == 2 and target.shape == output.shape and target.dtype.kind == "f":
        target = target.argmax(axis=1)
    if output.ndim != 2 or target.shape != output.shape[:1] or target.dtype.kind != "i":
        raise ValueError(
            f"accuracy: got outputs of shape {output.shape} and {target.dtype} targets of shape {target.shape}, "
            "expected (N, C) and int64 (N,) or float (N, C); for another task pass metrics={} to the Trainer, "
            "or your own"
        )
    return np.count_nonzero(output.argmax(axis=1) == target) / len(target)
