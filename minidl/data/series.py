"""Time series: splitting, scaling, and cutting them into windows to forecast from."""

import operator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minidl.data.dataset import checked_count, split_sizes
from minidl.data.sequences import Windows


def split_series(series, lengths):
    """Cut a series into parts that follow one another and do not overlap: usually to train, validate and test with.

    Windows are cut from each part by itself, so no value that a model is tested with was there to train with.

    Parameters
    ----------
    series : ndarray, shape (T, F) or (T,)
    lengths : sequence of int or of float
        Sizes that sum to T, or fractions that sum to 1, as for `random_split`.

    Returns
    -------
    list of ndarray
        Views of the series.

    Examples
    --------
    >>> train, validation, test = split_series(series, [0.7, 0.15, 0.15])
    """
    series = as_series("split_series", series)
    sizes = split_sizes("split_series", len(series), lengths)
    return np.split(series, np.cumsum(sizes)[:-1])


class Standardizer:
    """Shifts and scales every column to mean 0 and variance 1. What it takes for that comes from one series only.

    Give it the part to train with, and apply it to all parts: the others are not known when a model is trained.

    Parameters
    ----------
    series : ndarray, shape (T, F) or (T,)

    Attributes
    ----------
    mean, std : ndarray of float64, shape (F,)
        `std` is 1 for a column that never changes.

    Examples
    --------
    >>> scale = Standardizer(train)
    >>> dataset = windows(scale.transform(train), length=24)
    >>> forecast = scale.inverse_transform(model(x), column=0)
    """

    def __init__(self, series):
        values = as_series("Standardizer", series).astype(np.float64)
        self.mean, std = values.mean(axis=0), values.std(axis=0)
        self.std = np.where(values.min(axis=0) < values.max(axis=0), std, 1.0)

    def transform(self, series):
        """Values in units of the standard deviation from the mean.

        Parameters
        ----------
        series : ndarray, shape (..., F); or (T,), where F is 1

        Returns
        -------
        ndarray of float32, of the same shape
        """
        values = self._values("transform", series)
        return ((values - self.mean) / self.std).astype(np.float32)

    def inverse_transform(self, values, column=None):
        """Values in their own units again.

        Parameters
        ----------
        values : ndarray or Tensor
            As `transform` gives them; with `column` of any shape.
        column : int, optional
            Which column all of them belong to, as forecasts do; by default the last axis says.

        Returns
        -------
        ndarray of float32, of the same shape
        """
        if column is None:
            values, column = self._values("inverse_transform", values), slice(None)
        else:
            values = np.asarray(values, np.float64)
            column = _column("Standardizer: inverse_transform: column", column, len(self.mean))
        return (values * self.std[column] + self.mean[column]).astype(np.float32)

    def _values(self, function, values):
        values, features = np.asarray(values, np.float64), len(self.mean)
        if values.shape[-1:] != (features,) and not (values.ndim == 1 == features):
            raise ValueError(f"Standardizer: {function}: got shape {values.shape}, expected (..., {features})")
        return values


def windows(series, length, horizon=1, stride=1, target=0):
    """Every stretch of a series, and what comes behind it.

    Parameters
    ----------
    series : ndarray, shape (T, F) or (T,)
    length : int
        Steps to forecast from.
    horizon : int
        Steps to forecast.
    stride : int
        Steps from the start of one window to that of the next.
    target : int
        Which column to forecast.

    Returns
    -------
    Dataset
        Of N = (T - length - horizon) // stride + 1 windows: inputs float32, shape (N, length, F), and what follows in
        the target column, float32, shape (N, horizon). They are cut when they are asked for.

    Raises
    ------
    TypeError, ValueError, IndexError
        If the series is too short for one window, has values that are no finite numbers, or no such column.
    """
    series = as_series("windows", series)
    length, horizon = checked_count("windows", "length", length), checked_count("windows", "horizon", horizon)
    stride, target = checked_count("windows", "stride", stride), _column("windows: target", target, series.shape[1])
    if len(series) < length + horizon:
        raise ValueError(
            f"windows: got {len(series)} steps, expected at least {length + horizon}: length={length} + "
            f"horizon={horizon}"
        )
    pieces = sliding_window_view(series, length + horizon, axis=0)[::stride]  # (N, F, length + horizon)
    return Windows(pieces[:, :, :length].swapaxes(1, 2), pieces[:, target, length:])


def _column(where, column, features):
    column = operator.index(column)
    if not 0 <= column < features:
        raise IndexError(f"{where}: got {column}, expected 0 <= column < {features}")
    return column


def as_series(function, series):
    """A series as float32 of shape (T, F), checked."""
    array = np.asarray(series)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{function}: series: got {array.dtype}, expected numbers")
    if array.ndim not in (1, 2) or not array.size:
        raise ValueError(f"{function}: series: got shape {array.shape}, expected (T, F) or (T,) with at least one step")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        place = tuple(bad[0].tolist())
        raise ValueError(f"{function}: series: got {array[place]} at {place}, expected finite numbers")
    return np.ascontiguousarray(array.reshape(len(array), -1), np.float32)
