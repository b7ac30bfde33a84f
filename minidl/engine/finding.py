"""What is said of the first NaN or Inf."""

import dataclasses
from typing import Any

import numpy as np


class NonFiniteError(FloatingPointError):
    """A NaN or an Inf where there must be none.

    Attributes
    ----------
    finding : Finding or None
        Who made the first one; None if it could not be found out.
    """

    def __init__(self, message, finding=None):
        super().__init__(message)
        self.finding = finding
        self.recording: Any = None  # of the step that has failed, and the call that has noticed
        self.call: Any = None

    def __reduce__(self):  # in another process there is no step to dump
        return type(self), (*self.args, self.finding)

    def dump(self, path):
        """Write the failed step to a file, from which ``step.reproduce(path)`` runs it again, in any process.

        The file (NumPy's `.npz`) holds the arguments, the parameters and buffers as the step found them, and the random
        counter; not what an optimizer keeps, nor gradients to which the step would add. To be called before the
        next step.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        ValueError
            If it was no recorded step.
        TypeError
            If an argument of the step fits into no file.
        """
        if self.recording is None:
            raise ValueError("dump: the error does not come from a recorded step; minidl.record makes one")
        from minidl.engine import dump

        dump.write(path, self.recording, self.call)


@dataclasses.dataclass(eq=False)
class Finding:
    """The first call that made a NaN or an Inf, or that read one which nobody had made.

    Attributes
    ----------
    layer, operation, phase, kernel : str
        Path in the model ("" outside of one), node, "forward", "backward" or "update", compiled loop.
    outside : bool
        Whether the call only read what came in from outside.
    shape : tuple of int
    nan, inf : int
        Shape and counts of the array that was made, or read.
    index : tuple of int
        Where in it the first one is.
    ranges : list of (shape, float, float)
        Of the float arrays that the producer read: shape, smallest and largest value.
    source : str or None
        What came in from outside, or what an update has changed: the name of a parameter or a buffer, or
        ``"argument i"`` of a recorded step.
    updated_by : str or None
        The optimizer that changes it in every step.
    step, row : int or None
        Step in time and row of the batch where it began, if the producer is a recurrent layer, or what it made went on
        to one.
    became_nan : str or None
        Which node made a NaN of an Inf.
    """

    layer: str
    operation: str
    phase: str
    kernel: str
    outside: bool
    shape: tuple
    nan: int
    inf: int
    index: tuple
    ranges: list
    deliberate: bool = False  # an Inf that the code asked for, such as that of a mask
    source: str | None = None
    updated_by: str | None = None
    step: int | None = None
    row: int | None = None
    became_nan: str | None = None

    def __str__(self):
        node = f"{self.layer}: {self.operation}" if self.layer else self.operation
        size = int(np.prod(self.shape))
        counts = f"{self.nan} NaN and {self.inf} Inf among {size} values of shape {self.shape}"
        counts += f", first at {list(self.index)}" if self.index else ""
        if self.outside:
            text = f"It came in from outside: {node} read {counts}"
        else:
            ranges = [f"shape {shape} in [{low:.6g}, {high:.6g}]" for shape, low, high in self.ranges]
            text = (
                f"First produced by {node}, {self.phase}: made {counts}, from {', '.join(ranges) or 'no float input'}"
            )
        text += f"; this is {self.source}" if self.source else ""
        text += f", which {self.updated_by} changes in every step" if self.updated_by else ""
        text += f"; at step {self.step} in time, in row {self.row} of the batch" if self.step is not None else ""
        return text + (f"; {self.became_nan} made NaN of it" if self.became_nan else "")


def describe(call, array, outside):
    """The finding on a spoiled array that `call` made, or read."""
    flat = array.reshape(-1)
    first = int(np.argmin(np.isfinite(flat)))
    return Finding(
        layer=call.node.path,
        operation=call.node.name,
        phase=call.phase,
        kernel=call.kernel.name,
        outside=outside,
        shape=array.shape,
        nan=int(np.isnan(flat).sum()),
        inf=int(np.isinf(flat).sum()),
        index=tuple(int(i) for i in np.unravel_index(first, array.shape)),
        ranges=[
            (read.shape, float(read.min()), float(read.max()))
            for read in call.inputs
            if not outside and read is not None and read.dtype.kind == "f" and read.size
        ],
    )
