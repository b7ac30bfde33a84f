"""What a stabilizing node has done so far."""

from enum import IntEnum

import numpy as np


class Cell(IntEnum):
    """Where a kernel counts what; the same names stand in kernels/statistics.pxd."""

    CALLS, ACTED, NONFINITE, BEFORE, AFTER, LAST_BEFORE, LAST_AFTER = range(7)


class Statistics:
    """Counts of a node that changes, or may change, what passes through: written by its kernel, also in replays.

    Parameters
    ----------
    verb : str
        What the node does when it acts, such as ``"clipped"``.
    quantity : str
        What it measures before and after, such as ``"norm"``.

    Attributes
    ----------
    cells : ndarray of float64
        The numbers, in the order of `Cell`.
    """

    def __init__(self, verb, quantity="norm"):
        self.verb, self.quantity = verb, quantity
        self.cells = np.zeros(len(Cell))

    calls = property(lambda self: int(self.cells[Cell.CALLS]), doc="How often the node has run.")
    acted = property(lambda self: int(self.cells[Cell.ACTED]), doc="How often it changed something.")
    nonfinite = property(lambda self: int(self.cells[Cell.NONFINITE]), doc="How often the quantity was NaN or Inf.")
    last_before = property(lambda self: float(self.cells[Cell.LAST_BEFORE]), doc="The quantity before the last call.")
    last_after = property(lambda self: float(self.cells[Cell.LAST_AFTER]), doc="The quantity after the last call.")
    mean_before = property(lambda self: self._mean(Cell.BEFORE), doc="Mean of the finite quantities before a call.")
    mean_after = property(lambda self: self._mean(Cell.AFTER), doc="Mean of those after it.")

    @property
    def share(self):
        """Share of the calls that changed something; 0 without calls."""
        return self.acted / max(self.calls, 1)

    def reset(self):
        """Begin anew."""
        self.cells[:] = 0

    def _mean(self, cell):
        finite = self.calls - self.nonfinite
        return float(self.cells[cell]) / finite if finite else 0.0

    def __str__(self):
        if not self.calls:
            return "no calls"
        spoiled = f", {self.nonfinite:,} not finite" if self.nonfinite else ""
        means = f"{self.quantity} {self.mean_before:.3g} -> {self.mean_after:.3g} (mean)"
        return f"{self.calls:,} calls, {self.share:.1%} {self.verb}, {means}{spoiled}"
