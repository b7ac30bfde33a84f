"""Blocks of a step that run in some steps only."""

import numpy as np

from minidl.engine.node import Caller
from minidl.engine.state import state
from minidl.kernels.elementwise import product


class Gate(Caller):
    """``with gate:`` makes calls that run only while the gate is open; which it is may change from step to step.

    The calls are made, and recorded, either way: a gate is a number in memory that each of them looks at before it
    runs. What a closed block would have written keeps its old values. `backward` and `zero_grad` do not go inside.

    Attributes
    ----------
    open : ndarray of float64, shape (1,)
        0 while the gate is closed.
    """

    def __init__(self):
        super().__init__()
        self.open, self.both = np.ones(1), np.ones(1)
        self.outer = []

    is_open = property(lambda self: bool(self.open[0]), doc="Whether the block runs, or ran in the last step.")

    def __enter__(self):
        outer, state.gate = state.gate, None
        if outer is not None:
            self.call(product, [self.both], [self.open, outer])
        # what is found finite in the block may not have been looked at when it is closed
        checked = None if state.recording is None else set(state.recording.checked)
        self.outer.append((outer, checked))
        state.gate = self.open if outer is None else self.both
        return self

    def __exit__(self, *error):
        state.gate, checked = self.outer.pop()
        if checked is not None and state.recording is not None:
            state.recording.checked &= checked
