"""Modules that give their input back and shape its gradient; what they do is told in `minidl.functional`.

Their numbers may be changed between steps, and recorded steps follow. All calls of a module share its statistics.
"""

import numpy as np

from minidl import functional as F
from minidl.engine import Statistics, state
from minidl.engine.checks import above_zero, at_least, finite, positive
from minidl.functional import gradient as nodes
from minidl.nn.module import Module
from minidl.stabilize.update import Setting


class _Wire(Module):
    """Common to them.

    Attributes
    ----------
    statistics : Statistics
        What it has done so far, also in replays.
    """

    name = property(lambda self: type(self).__name__, doc="For errors.")

    def __init__(self, statistics):
        super().__init__()
        self.made_in, self.statistics = state.recording, statistics

    def _settings(self):
        """As the repr shows them."""
        raise NotImplementedError

    def extra_repr(self):
        return self._settings() + (f": {self.statistics}" if self.statistics.calls else "")


class Bound(Setting):
    """The bound that a `ClipGrad` has; the other one is None and stays so."""

    def __get__(self, node, owner=None):
        return super().__get__(node, owner) if node is None or node.bound == self.name else None

    def __set__(self, node, value):
        if node.bound != self.name:
            raise ValueError(f"{node.name}: {self.name}: got {value}, expected None, as it has a {node.bound}")
        super().__set__(node, value)


class ClipGrad(_Wire):
    """Clips the gradient of its input: see `functional.clip_grad`.

    Parameters
    ----------
    max_norm, max_value : float, optional
        Exactly one of them, > 0.
    norm_type : float
    dim : {None, 0}
    on_nonfinite : {"raise", "skip", "zero"}

    Examples
    --------
    >>> model = Sequential(Linear(64, 32), Tanh(), ClipGrad(max_norm=1.0), Linear(32, 10))
    """

    max_norm = Bound(0, above_zero)
    max_value = Bound(0, positive)
    norm_type = Setting(1, above_zero)

    def __init__(self, max_norm=None, max_value=None, norm_type=2.0, dim=None, on_nonfinite="raise"):
        super().__init__(Statistics("clipped", nodes.quantity(max_norm)))
        self.cells = nodes.clip_cells("ClipGrad", max_norm, max_value, norm_type, dim, on_nonfinite)
        self.bound, self.dim, self.on_nonfinite = "max_value" if max_norm is None else "max_norm", dim, on_nonfinite

    def forward(self, input):
        return nodes.ClipGrad(self.cells, self.statistics, self.bound == "max_value", self.dim).apply(input)

    def _settings(self):
        norm = f", norm_type={self.norm_type}, dim={self.dim}" if self.bound == "max_norm" else ""
        return f"{self.bound}={self.cells[0]}{norm}, on_nonfinite={self.on_nonfinite!r}"


class ScaleGrad(_Wire):
    """Multiplies the gradient of its input by `scale`; a negative one reverses it: Ganin & Lempitsky (2015).

    Parameters
    ----------
    scale : float
        Finite.
    """

    scale = Setting(0, finite)

    def __init__(self, scale):
        super().__init__(Statistics("scaled"))
        self.cells = np.zeros(1)
        self.scale = scale

    def forward(self, input):
        return nodes.ScaleGrad(self.cells, self.statistics).apply(input)

    def _settings(self):
        return f"scale={self.scale}"


class NoiseGrad(_Wire):
    """Adds normal noise to the gradient of its input: Neelakantan et al. (2015).

    Parameters
    ----------
    std : float
        Standard deviation, >= 0.
    """

    std = Setting(0, at_least)

    def __init__(self, std):
        super().__init__(Statistics("noised"))
        self.cells = np.zeros(1)
        self.std = std

    def forward(self, input):
        return nodes.NoiseGrad(self.cells, self.statistics).apply(input)

    def _settings(self):
        return f"std={self.std}"


class StopGrad(Module):
    """Lets no gradient through: what lies before it gets none, see `functional.stop_grad`."""

    def forward(self, input):
        return F.stop_grad(input)
