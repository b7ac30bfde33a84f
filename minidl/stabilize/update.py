"""Update nodes: what happens to gradients and parameters after backward."""

from collections.abc import Sequence

import numpy as np

from minidl.engine import Caller, Tensor, memory, outside_recordings, state
from minidl.engine.origin import blame
from minidl.kernels.update import SEGMENT


class Update(Caller):
    """A node of the update phase.

    Attributes
    ----------
    parameters : list of Parameter
        Those whose gradients it reads or changes.
    cells : ndarray of float64
        Its settings (see `Setting`), in the order in which the kernel reads them.
    acts : {"before", "around", "step", "after"} or None
        When a loop that is given the node lets it act: on the gradients before the optimizer's step, on the weights
        after it, or as a gate: around all that comes after it, or around the step alone, which it may undo. None if
        only a loop written for it can use it.
    answers_nonfinite : bool
        Whether it does something about a loss that is NaN or Inf, so that `backward` may let that pass.
    choices : tuple of str
        Attributes that its repr shows besides the settings.
    """

    parameters: Sequence[Tensor] = ()
    cells: np.ndarray
    on_nonfinite = "skip"
    acts: str | None = "before"
    answers_nonfinite = False
    choices: tuple[str, ...] = ()

    def __init__(self):
        super().__init__()
        self.made_in = state.recording

    def label(self):
        """The node itself: its parameters live as long as the step."""
        return self

    def __repr__(self):
        numbers = [
            name for kind in type(self).__mro__ for name, part in vars(kind).items() if isinstance(part, Setting)
        ]
        settings = [f"{name}={getattr(self, name)!r}" for name in self.choices]
        settings += [f"{name}={getattr(self, name):g}" for name in numbers]
        return f"{type(self).__name__}({', '.join(settings)})"

    def __str__(self):
        return repr(self) if self.statistics is None else f"{self!r}: {self.statistics}"

    def around(self, loss):
        """The block for an optimizer's step, given the loss; for nodes that act around it."""
        return self

    def call(self, *args, **kwargs):
        phase, state.phase = state.phase, "update"
        try:
            super().call(*args, **kwargs)
        finally:
            state.phase = phase

    def found_finite(self, parameters):
        """Let a recording know that their gradients need no second look, unless the policy lets NaN and Inf pass."""
        if state.recording is not None:
            checked = state.recording.checked
            (checked.difference_update if self.on_nonfinite == "skip" else checked.update)(parameters)

    def explain_nonfinite(self, call, recording):
        """Which gradients, or else weights, and who made the first NaN or Inf."""
        gradients = [p.buffer if p.flag is not None and p.flag[0] else None for p in self.parameters]
        found = spoiled(self.parameters, gradients)
        what = f"the gradient of {found}" if found else spoiled(self.parameters, [p.array for p in self.parameters])
        if not what:
            return f"all values are finite, but their norm is too large for {call.dtype}", None
        who, finding = blame(gradients, recording, call)
        return f"NaN or Inf in {what}. {who}", finding


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


def separate(arrays):
    """Segments that hold a part of one array each, for sums: those must not depend on who happens to be neighbours."""
    return segments(arrays, [(i, i) for i in range(len(arrays))])


def owners(counts):
    """For every segment the first of the same parameter, given how many segments each parameter has."""
    return np.repeat(np.cumsum([0, *counts[:-1]]), counts).tolist()


def gradient_segments(parameters):
    """Segments of the gradients alone."""
    buffers = [parameter.buffer for parameter in parameters]
    return segments(buffers, runs([buffers], [None] * len(buffers)))


def sizes(pieces):
    """What the update kernels read as ``n``: the number of segments, then their sizes."""
    return [len(pieces), *(piece.size for piece in pieces)]


def by_dtype(parameters):
    """The parameters as one list for each dtype."""
    groups: dict[np.dtype, list[Tensor]] = {}
    for parameter in parameters:
        groups.setdefault(parameter.dtype, []).append(parameter)
    return groups


def with_gradient(parameters):
    """The parameters that have a gradient now, by dtype."""
    return by_dtype(parameter for parameter in parameters if parameter.has_grad())


def only_dtype(function, groups):
    """The one dtype and its members, float32 and none if there are no groups; TypeError if there are several."""
    if len(groups) > 1:
        raise TypeError(f"{function}: got parameters of dtypes {', '.join(map(str, groups))}, expected one dtype")
    return next(iter(groups.items()), (np.dtype(np.float32), []))


def parameter_list(function, parameters):
    """`parameters` as a list; ValueError if there are none, TypeError if they are something else."""
    if hasattr(parameters, "parameters"):
        got = type(parameters).__name__
        raise TypeError(f"{function}: parameters: got {got}, expected parameters, such as model.parameters()")
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if not parameters:
        raise ValueError(f"{function}: parameters: got none (a generator used up before?), expected at least one")
    return parameters


def expect_model(function, model):
    """`model` itself; TypeError if it is no module."""
    if not hasattr(model, "named_parameters"):
        raise TypeError(f"{function}: model: got {type(model).__name__}, expected a Module")
    return model


def expect_optimizer(function, optimizer):
    """`optimizer` itself; TypeError if it is none."""
    if not hasattr(optimizer, "param_groups"):
        raise TypeError(f"{function}: optimizer: got {type(optimizer).__name__}, expected an Optimizer")
    return optimizer


def spoiled(parameters, arrays):
    """Which parameters' arrays hold a NaN or an Inf, in words."""
    found = []
    for i, (parameter, array) in enumerate(zip(parameters, arrays, strict=True)):
        count = 0 if array is None else np.count_nonzero(~np.isfinite(array))
        if count:
            found.append(f"{parameter.name or f'parameter {i}'} ({count} values, shape {parameter.shape})")
    return ", ".join(found)
