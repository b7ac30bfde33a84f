"""Update nodes: what happens to gradients and parameters after backward."""

import math
import numbers
from collections.abc import Sequence

import numpy as np

from minidl.engine import Caller, Tensor, memory, outside_recordings, state
from minidl.engine.origin import origin
from minidl.kernels.update import POLICIES, SEGMENT


class Update(Caller):
    """A node of the update phase.

    Attributes
    ----------
    parameters : list of Parameter
        Those whose gradients it reads or changes.
    cells : ndarray of float64
        Its settings (see `Setting`), in the order in which the kernel reads them.
    acts : {"before", "around", "after"} or None
        When a loop that is given the node lets it act: on the gradients before the optimizer's step, on the weights
        after it, or around it, as a gate whose block the step is. None if only a loop written for it can use it.
    answers_nonfinite : bool
        Whether it does something about a loss that is NaN or Inf, so that `backward` may let that pass.
    """

    parameters: Sequence[Tensor] = ()
    cells: np.ndarray
    acts: str | None = "before"
    answers_nonfinite = False

    def __init__(self):
        super().__init__()
        self.made_in = state.recording

    def label(self):
        """The node itself: its parameters live as long as the step."""
        return self

    def around(self, loss):
        """The block for an optimizer's step, given the loss; for nodes that act around it."""
        return self

    def call(self, *args, **kwargs):
        phase, state.phase = state.phase, "update"
        try:
            super().call(*args, **kwargs)
        finally:
            state.phase = phase

    def explain_nonfinite(self, call, history):
        """Which gradients, and who made the first NaN or Inf."""
        advice = "To learn which node made it first, record the step, or run it under minidl.detect_anomaly()"
        return f"NaN or Inf in the gradient of {spoiled(self.parameters)}. {(history and origin(history)) or advice}"


class Setting:
    """A number of an update node that lives in its `cells`: assigned, it changes the next step, recorded or not.

    Parameters
    ----------
    index : int
        Where it lies.
    check : callable
        ``check(function, argument, value)`` gives a float; ValueError if `value` is out of range.
    """

    def __init__(self, index, check):
        self.index, self.check = index, check

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, node, owner=None):
        return self if node is None else float(node.cells[self.index])

    def __set__(self, node, value):
        if state.recording is not node.made_in:
            outside_recordings(f"{node.name}.{self.name}: changed")
        node.cells[self.index] = self.check(node.name, self.name, value)


def runs(columns, keys):
    """Stretches of parameters whose arrays lie side by side, so that a kernel may take them for one.

    Parameters
    ----------
    columns : list of list of ndarray
        For each kind of array (weights, gradients, ...), one per parameter.
    keys : list
        Only parameters with the identical key may share a stretch.

    Returns
    -------
    list of (int, int)
        First and last parameter of each stretch.
    """
    found = [[0, 0]] if keys else []
    for i in range(1, len(keys)):
        if keys[i] is keys[i - 1] and all(memory.neighbours(column[i - 1], column[i]) for column in columns):
            found[-1][1] = i
        else:
            found.append([i, i])
    return found


def segments(arrays, stretches):
    """Flat views of at most SEGMENT elements that cover `arrays`, stretch by stretch."""
    flats = [memory.join(arrays[first], arrays[last]) for first, last in stretches]
    return [flat[i : i + SEGMENT] for flat in flats for i in range(0, flat.size, SEGMENT)]


def gradient_segments(parameters):
    """Segments of the gradients alone."""
    buffers = [parameter.buffer for parameter in parameters]
    return segments(buffers, runs([buffers], [None] * len(buffers)))


def sizes(pieces):
    """What the update kernels read as ``n``: the number of segments, then their sizes."""
    return [len(pieces), *(piece.size for piece in pieces)]


def with_gradient(parameters):
    """The parameters that have a gradient now, by dtype."""
    groups: dict[np.dtype, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.has_grad():
            groups.setdefault(parameter.dtype, []).append(parameter)
    return groups


def parameter_list(function, parameters):
    """`parameters` as a list; ValueError if there are none."""
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if not parameters:
        raise ValueError(f"{function}: parameters: got none (a generator used up before?), expected at least one")
    return parameters


def spoiled(parameters):
    """Which gradients hold a NaN or an Inf, in words."""
    found = []
    for i, parameter in enumerate(parameters):
        if parameter.flag is None or not parameter.flag[0]:
            continue
        count = np.count_nonzero(~np.isfinite(parameter.buffer))
        if count:
            found.append(f"{parameter.name or f'parameter {i}'} ({count} values, shape {parameter.shape})")
    return ", ".join(found)


def positive(function, argument, value):
    """`value` as a float; ValueError unless it is > 0 and finite."""
    if not 0 < float(value) < math.inf:
        raise ValueError(f"{function}: {argument}: got {value}, expected a finite number > 0")
    return float(value)


def above_zero(function, argument, value):
    """`value` as a float; ValueError unless it is > 0; it may be infinite."""
    if not float(value) > 0:
        raise ValueError(f"{function}: {argument}: got {value}, expected a number > 0")
    return float(value)


def above_one(function, argument, value):
    """`value` as a float; ValueError unless it is > 1 and finite."""
    if not 1 < float(value) < math.inf:
        raise ValueError(f"{function}: {argument}: got {value}, expected a finite number > 1")
    return float(value)


def between(function, argument, value):
    """`value` as a float; ValueError unless 0 < value < 1."""
    if not 0 < float(value) < 1:
        raise ValueError(f"{function}: {argument}: got {value}, expected 0 < {argument} < 1")
    return float(value)


def fraction(function, argument, value):
    """`value` as a float; ValueError unless 0 <= value < 1."""
    number = float(value)
    if not 0 <= number < 1:
        raise ValueError(f"{function}: {argument}: got {value}, expected 0 <= {argument} < 1")
    return number


def whole(function, argument, value, low=1):
    """`value` itself; ValueError unless it is a whole number >= `low`."""
    if not isinstance(value, numbers.Integral) or value < low:
        raise ValueError(f"{function}: {argument}: got {value}, expected a whole number >= {low}")
    return value


def policy(function, name):
    """The kernels' number for an `on_nonfinite` policy."""
    if name not in POLICIES:
        raise ValueError(f"{function}: on_nonfinite: got {name!r}, expected 'raise', 'skip' or 'zero'")
    return POLICIES[name]
