"""Gradients of several small batches for one step of the optimizer."""

import numpy as np

from minidl.engine import Gate, memory, state, version
from minidl.engine.autograd import mark
from minidl.engine.checks import whole
from minidl.kernels import guard as kernels
from minidl.kernels.elementwise import fill
from minidl.stabilize.update import Setting, Update, parameter_list, runs, segments, sizes, with_gradient


class GradientAccumulation(Gate, Update):
    """A block that runs in every `steps`-th step only, in which g is the mean of the gradients since the last time.

    With batches of one size, and losses that are means over a batch, that is the step on all of them together.

    Parameters
    ----------
    parameters : iterable of Parameter, or one
    steps : int
        >= 1. May be changed between steps.

    Attributes
    ----------
    due : bool
        Whether the block ran in the last step.
    seen : ndarray of float64, shape (1,)
        Gradients added up so far; `steps` when the block has run.

    Notes
    -----
    A parameter that had a gradient once counts with 0 where it has none. `zero_grad` belongs in front, outside of the
    block, in every step. A `SpikeGuard` that watches the loss belongs around it, ``with guard(loss), accumulate:``, so
    that the gradient of a bad batch is not added up; one that watches the gradient stands inside, where it is the mean.

    Examples
    --------
    >>> accumulate = stabilize.GradientAccumulation(model.parameters(), steps=4)
    >>> optimizer.zero_grad()
    >>> loss.backward()
    >>> with accumulate:
    ...     clip()
    ...     optimizer.step()
    """

    name = "GradientAccumulation"
    acts = "around"
    steps = Setting(0, whole)
    revision = 0  # counts what makes recorded steps stale: another parameter with a sum

    def __init__(self, parameters, steps):
        super().__init__()
        self.parameters = parameter_list(self.name, parameters)
        self.cells, self.seen = np.zeros(1), np.zeros(1)
        self.steps = steps
        self.arena, self.totals = memory.Arena(), {}
        self.reset()

    due = property(lambda self: self.is_open, doc="Whether the block ran in the last step.")

    def reset(self):
        """Forget what has been added up: the next gradient is the first."""
        self.open[:] = self.seen[:] = 0

    def __enter__(self):
        groups = self.gradients()
        self.call(kernels.count, [self.open, self.seen], [], [], self.cells)
        for members in groups.values():
            gradients = [parameter.buffer for parameter in members]
            totals = [self.totals[parameter] for parameter in members]
            stretches = runs([gradients, totals], [None] * len(members))
            totals, gradients = segments(totals, stretches), segments(gradients, stretches)
            self.call(kernels.gather, [*totals, *gradients], [self.open, self.seen], sizes(gradients))
        if state.recording is not None:
            state.recording.checked.difference_update(self.totals)
        return super().__enter__()

    def gradients(self):
        """The parameters that take part, by dtype; those without a gradient get one of zeros."""
        for members in with_gradient(self.parameters).values():
            for parameter in members:
                if parameter not in self.totals or self.totals[parameter].shape != parameter.shape:
                    self.totals[parameter] = self.arena.zeros(parameter.shape, parameter.dtype)
                    self.revision += 1
                    version.count += 1
        if state.recording is not None:
            state.recording.rely_on(self, "revision")
        missing = [parameter for parameter in self.totals if not parameter.has_grad()]
        for parameter in missing:
            self.call(fill, [parameter.gradient_buffer()], [], [parameter.array.size], [0.0])
        mark(self, missing, True)
        return with_gradient(parameter for parameter in self.parameters if parameter in self.totals)
