"""Who made the first NaN or Inf.

Buffers are used again, so what a call left there may be gone when a NaN is noticed. Therefore history is run once more,
and looked at call by call; what it overwrites is put back.
"""

import numpy as np

from minidl.engine.finding import NonFiniteError
from minidl.engine.pool import Chunk
from minidl.engine.provenance import Provenance, spoiled
from minidl.engine.random import generator
from minidl.engine.state import Switch, no_grad, state, version

UNKNOWN = "No call made it: it was so from the start, or what the calls read has changed since"


class Watch(Provenance):
    """Runs eager calls, and raises NonFiniteError at the first NaN, or Inf that nobody asked for."""

    def run(self, call):
        known = len(self.findings)
        status = super().run(call)
        if status:
            return status
        made = [array for array in call.outputs if spoiled(array)]
        fresh = any(not (new.outside or new.deliberate) for new in self.findings[known:])
        if made and (fresh or any(np.isnan(array).any() for array in made)):
            finding = self.cause(made)
            raise NonFiniteError(str(finding), finding)
        return status


class detect_anomaly(Switch):
    """Checks what every call made inside leaves; `NonFiniteError` names the node that made the first NaN or Inf.

    An Inf that the code asks for, such as -inf to mask scores, passes until it becomes a NaN, or reaches `backward`, a
    clip or an optimizer. Recorded steps run their function. Costs about as much as the step itself.
    """

    field = "detect_anomaly"

    def __enter__(self):
        version.count += 1  # recorded steps look up, and find that they may not replay
        self.value = state.detect_anomaly or Watch()
        return super().__enter__()


class Inquest(Provenance):
    """Runs history once more, and puts back what it overwrites.

    Attributes
    ----------
    overwritten : dict
        By `id`, every buffer that the calls write, and what it held before.
    """

    def __enter__(self):
        self.overwritten = {id(generator.counter): (generator.counter, generator.counter.copy())}
        self.previous = state.recording, state.pool, state.phase, state.detect_anomaly
        state.recording, state.pool, state.phase, state.detect_anomaly = None, None, "forward", self
        return self

    def __exit__(self, *error):
        state.recording, state.pool, state.phase, state.detect_anomaly = self.previous
        for buffer, values in reversed(self.overwritten.values()):  # of views of one array the first was whole
            buffer[...] = values

    def run(self, call):
        """Save what the call is about to change, take the traces of the failed run out of it, and run it."""
        for array in call.scratch:  # statistics, for example, must not count twice
            self.overwritten.setdefault(id(array), (array, array.copy()))
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
        return super().run(call)


def origin(arrays, recording, stop):
    """Where the NaN and Inf in `arrays` come from; None if none of a recording's calls before `stop` made or read one.

    Updates are not repeated: the parameters are as they left them, and so are read as they were after them.
    """
    if state.detect_anomaly:
        return state.detect_anomaly.cause(arrays)
    calls = recording.calls_before(stop)
    updates = [call for call in recording.tape.calls if call.phase == "update"]
    with Inquest(recording.leaves(), updates) as inquest:
        generator.counter[1] -= sum(draws(call) for call in calls)
        for call in calls:
            if call.phase in ("forward", "backward") and not call.closed:
                inquest.run(call)
        return inquest.cause(arrays)


def blame(arrays, recording, stop):
    """Who made the NaN and Inf in `arrays`, in words and as a finding; advice and None if nobody noted the calls."""
    if recording is None and not state.detect_anomaly:
        return "To learn which node made it first, record the step, or run it under minidl.detect_anomaly()", None
    finding = origin(arrays, recording, stop)
    return str(finding or UNKNOWN), finding


def draws(call):
    """Whether a call has drawn random numbers."""
    return any(array is generator.counter for array in call.outputs) and not call.closed


def origin_in_graph(root, nodes):
    """The same for the root of a graph, newest node first, whose calls nobody noted."""
    if state.detect_anomaly:
        return state.detect_anomaly.cause([root.array])
    values: dict = {}  # edge -> its tensor, made anew
    with Inquest() as inquest, no_grad():
        for node in reversed(nodes):
            if hasattr(node, "drawn_at"):
                generator.counter[:] = node.drawn_at
            inquest.meet(node.inputs)
            outputs = [y for y in node.again([values.get(x, x) for x in node.inputs]) if y.dtype.kind == "f"]
            values.update((reference(), y) for (_, _, reference), y in zip(node.outputs, outputs, strict=True))
        return inquest.cause([values.get(root.edge, root).array])
