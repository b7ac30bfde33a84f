"""Who made the first NaN or Inf.

Buffers are used again, so what a call left there may be gone when a NaN is noticed. Therefore history is run once more,
and looked at call by call; what it overwrites is put back.
"""

import numpy as np

from minidl.engine.pool import Chunk
from minidl.engine.random import generator
from minidl.engine.state import no_grad, state


class Inquest:
    """Watches calls as a recording does, until one makes a NaN or an Inf.

    Attributes
    ----------
    finding : str or None
        A sentence on the first call with a NaN or an Inf in its outputs.
    overwritten : dict
        By `id`, every buffer that the calls write, and what it held before.
    """

    calls = ()

    def __init__(self):
        self.finding = None
        self.overwritten = {id(generator.counter): (generator.counter, generator.counter.copy())}

    def __enter__(self):
        self.previous = state.recording, state.pool, state.phase
        state.recording, state.pool, state.phase = self, None, "forward"
        return self

    def __exit__(self, *error):
        state.recording, state.pool, state.phase = self.previous
        for buffer, values in reversed(self.overwritten.values()):  # of views of one array the first was whole
            buffer[...] = values

    def hold(self, arrays):
        """Calls may hold the arrays themselves: they do not last."""
        return arrays

    def before(self, call):
        """Save what the call is about to change, and take the traces of the failed run out of it."""
        for array in call.outputs:
            if array is None:
                continue
            buffer = array.base if isinstance(array.base, Chunk) else array
            if id(buffer) in self.overwritten:
                continue
            self.overwritten[id(buffer)] = buffer, buffer.copy()
            if buffer is not array:
                buffer[...] = 0
            elif buffer.dtype.kind == "f":
                buffer[~np.isfinite(buffer)] = 0

    def append(self, call):
        """Look at what the call made."""
        if self.finding is not None or all_finite(call.outputs):
            return
        spoiled = [array for array in call.inputs if not all_finite([array])]
        if spoiled:
            self.finding = f"It came in from outside: {call.node} read {counts(spoiled)}"
        else:
            self.finding = f"First produced by {describe_producer(call)}"


def origin(calls):
    """Sentence on where the first NaN or Inf came from: made by one of `calls`, or read by it; None if there is none.

    Updates are not repeated: the parameters are as they left them, and so are read as they were after them.

    Parameters
    ----------
    calls : list of Call
        Those of a step, up to where the NaN or Inf was noticed.
    """
    calls = [call for call in calls if call.phase != "update"]
    with Inquest() as inquest:
        generator.counter[1] -= sum(any(array is generator.counter for array in call.outputs) for call in calls)
        for call in calls:
            inquest.before(call)
            call.run()
            inquest.append(call)
            if inquest.finding is not None:
                break
    return inquest.finding


def origin_in_graph(nodes):
    """The same for a graph, newest node first, whose calls nobody noted."""
    values: dict = {}  # edge -> its tensor, made anew
    with Inquest() as inquest, no_grad():
        for node in reversed(nodes):
            if hasattr(node, "drawn_at"):
                generator.counter[:] = node.drawn_at
            outputs = [y for y in node.again([values.get(x, x) for x in node.inputs]) if y.dtype.kind == "f"]
            if inquest.finding is not None:
                break
            values.update((reference(), y) for (_, _, reference), y in zip(node.outputs, outputs, strict=True))
    return inquest.finding


def all_finite(arrays):
    """Whether no float array holds a NaN or an Inf."""
    return all(np.isfinite(array).all() for array in arrays if array is not None and array.dtype.kind == "f")


def counts(arrays):
    """How many NaN and Inf the float arrays hold, in words."""
    return "; ".join(
        f"{np.isnan(array).sum()} NaN and {np.isinf(array).sum()} Inf among {array.size} values of shape {array.shape}"
        for array in arrays
        if array is not None and array.dtype.kind == "f"
    )


def describe_producer(call):
    """One sentence on the call that made the first NaN or Inf."""
    ranges = [
        f"shape {array.shape} in [{np.min(array):.6g}, {np.max(array):.6g}]"
        for array in call.inputs
        if array is not None and array.dtype.kind == "f" and array.size
    ]
    return f"{call.node}, {call.phase}: made {counts(call.outputs)} from {', '.join(ranges) or 'no float input'}"
