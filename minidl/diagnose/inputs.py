"""Figures of the data that a model is given."""

from dataclasses import dataclass

import numpy as np

from minidl.engine.tensor import as_array


@dataclass
class InputFigures:
    """One input of the model, over all batches.

    Attributes
    ----------
    shape : tuple of int
        Of a batch.
    nonfinite : int
    spoiled_step : int or None
        The first time step with a NaN or an Inf, in a batch of sequences.
    mean, std, low, high : float
    constant : float
        Share of the features (elements of a sample) that have one value in all samples.
    spread : float
        The largest deviation of a feature by the median of those that vary; 1 where none does.
    widest : tuple of int
        Where in a sample that feature is.
    tail : int
        Time steps at the end that are the same in every sequence; 0 for what is no batch of sequences.
    integer : bool
    """

    shape: tuple
    nonfinite: int
    spoiled_step: int | None
    mean: float
    std: float
    low: float
    high: float
    constant: float
    spread: float
    widest: tuple
    tail: int
    integer: bool


def input_figures(arrays, size):
    """Figures of one input, given its array in every batch, where a batch has `size` samples."""
    arrays = [as_array(a) for a in arrays]
    if arrays[0].ndim > 1 and arrays[0].shape[0] != size == arrays[0].shape[1]:
        arrays = [np.moveaxis(a, 1, 0) for a in arrays]  # time first
    arrays = cropped(arrays)
    samples = np.concatenate([a.reshape(len(a), -1) for a in arrays]).astype(np.float64)
    finite = np.isfinite(samples)
    known = np.where(finite, samples, 0)
    stds = known.std(0)
    varying = stds[stds > 0]
    first = arrays[0]
    spoiled = ~finite.reshape(len(finite), *first.shape[1:]).all((0, 2)) if first.ndim == 3 else np.zeros(0, bool)
    return InputFigures(
        first.shape,
        int((~finite).sum()),
        int(np.argmax(spoiled)) if spoiled.any() else None,
        float(known.mean()),
        float(known.std()),
        float(known.min()),
        float(known.max()),
        float((stds == 0).mean()),
        float(varying.max() / np.median(varying)) if varying.size else 1.0,
        tuple(map(int, np.unravel_index(stds.argmax(), arrays[0].shape[1:]))) if stds.size else (),
        constant_tail(known.reshape(len(known), *first.shape[1:])) if first.ndim == 3 else 0,
        first.dtype.kind in "iu",
    )


def cropped(arrays):
    """Arrays of one shape but for the number of samples: the longer sequences are cut off."""
    shape = np.min([a.shape[1:] for a in arrays], axis=0)
    return [a[(slice(None), *map(slice, shape))] for a in arrays]


def constant_tail(sequences):
    """Steps at the end of sequences (N, T, ...) in which all of them are the same number."""
    same = (sequences == sequences[:1, -1:, :1]).all((0, 2))
    return int(len(same) if same.all() else np.argmin(same[::-1]))
