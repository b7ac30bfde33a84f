"""The learning-rate range test."""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from minidl.engine import record
from minidl.train.kept import kept
from minidl.train.plot import plot_range_test
from minidl.train.trainer import many_times, mode

WORSE = 4  # times the best loss is divergence


@dataclass(frozen=True)
class RangeTest:
    """What `lr_range_test` found.

    Attributes
    ----------
    lrs : ndarray
        The rates that were tried.
    losses : ndarray
        The loss at each of them: the mean over the steps around it, a twentieth of all steps.
    suggestion : float or None
        The rate at which `losses` have come half the way from the first to the lowest: close to where they fall
        fastest, but noise moves it less. None if they never fall.
    diverged : float or None
        The rate at which the test stopped, as the loss was not finite or 4 times the best; None if it reached the end.
    """

    lrs: np.ndarray
    losses: np.ndarray
    suggestion: float | None
    diverged: float | None

    def plot(self, path):
        """Write the curve as an image; the ending of `path` decides the format. ImportError without Matplotlib."""
        plot_range_test(self, path)

    def __str__(self):
        fall = "the loss never falls" if self.suggestion is None else f"suggestion: lr {self.suggestion:.2g}"
        end = "no divergence" if self.diverged is None else f"divergence at {self.diverged:.2g}"
        return f"{fall}; {end} ({len(self.lrs)} steps)"


def lr_range_test(model, optimizer, loss_fn, loader, start=1e-7, end=10.0, steps=100):
    """Train for some steps with a rate that grows by the same factor at each; then undo them.

    A rate to train with lies near the suggestion, and well below where the loss diverges. Parameters, buffers,
    gradients, modes, random numbers and the optimizer's state are put back exactly as they were.

    Parameters
    ----------
    model : Module
    optimizer : Optimizer
        All its groups get the same rate.
    loss_fn : callable
        ``loss_fn(output, target)`` gives a scalar tensor.
    loader : DataLoader, or list of batches
        Gives ``(*inputs, target)``; gone through as often as the steps ask for.
    start, end : float
        First and last rate; 0 < start < end.
    steps : int
        At least 3.

    Returns
    -------
    RangeTest

    Examples
    --------
    >>> found = lr_range_test(model, optimizer, F.cross_entropy, loader)
    >>> print(found)
    suggestion: lr 0.018; divergence at 3.9 (95 steps)

    References
    ----------
    Smith, "Cyclical learning rates for training neural networks", 2017, section 3.3.
    """
    if not 0 < start < end < math.inf:
        raise ValueError(f"lr_range_test: start, end: got {start}, {end}, expected 0 < start < end")
    if steps < 3:
        raise ValueError(f"lr_range_test: steps: got {steps}, expected at least 3")
    if not many_times(loader):
        raise TypeError(
            f"lr_range_test: loader: got {type(loader).__name__}, expected a DataLoader or a list of batches"
        )
    rates, window = np.geomspace(start, end, steps), max(steps // 20, 1) | 1

    @record
    def step(*batch):
        *inputs, target = batch
        optimizer.zero_grad()
        loss = loss_fn(model(*inputs), target)
        loss.backward()
        optimizer.step()
        return loss

    losses: list[float] = []
    diverged = None
    with mode(model, True), kept(model, optimizer):
        for rate, batch in zip(rates, endless(loader), strict=False):
            for group in optimizer.param_groups:
                group["lr"] = float(rate)
            try:
                losses.append(step(*batch).item())
            except FloatingPointError:  # of the loss, or of a gradient
                diverged = float(rate)
                break
            if is_worse(losses, window):
                diverged = float(rate)
                break
    rates, smooth = rates[: len(losses)], smoothed(losses, window)
    return RangeTest(rates, smooth, halfway(rates, smooth, window), diverged)


def endless(loader):
    """Its batches, again and again; ValueError if there are none."""
    for epoch in itertools.count():
        batch = None
        for batch in loader:
            yield batch
        if batch is None:
            raise ValueError(f"lr_range_test: loader: got no batches in pass {epoch + 1}")


def smoothed(losses, window):
    """Means over `window` neighbours; at the ends over those that there are."""
    half = window // 2
    return np.array([np.mean(losses[max(i - half, 0) : i + half + 1]) for i in range(len(losses))])


def is_worse(losses, window):
    """Whether the mean of the last losses is far above the best of such means."""
    means = np.convolve(losses, np.ones(window) / window, "valid") if len(losses) >= window else np.array(losses)
    return means[-1] > means.min() + (WORSE - 1) * abs(means.min())


def halfway(rates, losses, window):
    """The rate at which the losses have come half of their way down."""
    if not len(losses):
        return None
    best = np.argmin(losses)
    middle = (losses[:window].mean() + losses[best]) / 2
    above = np.flatnonzero(losses[:best] > middle)
    return float(rates[above[-1] + 1]) if above.size else None
