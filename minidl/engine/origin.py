"""Who made the first NaN or Inf.

Buffers are used again, so what a call left there may be gone when a NaN is noticed. Therefore history is run once more,
and looked at call by call; what it overwrites is put back. A NaN is followed back from where it was noticed: an Inf
that came to nothing, such as that of a mask in front of a softmax, is nobody's fault.
"""

import weakref

import numpy as np

from minidl.engine import memory
from minidl.engine.finding import NonFiniteError, describe
from minidl.engine.pool import Chunk
from minidl.engine.random import generator
from minidl.engine.state import Switch, no_grad, state, version
from minidl.engine.tape import Call

HARMLESS = 0.5  # stands in for a NaN or an Inf: a number that log, division and their like take without harm


class Provenance:
    """Runs calls, and notes where the NaN and Inf come from that they leave in memory.

    Attributes
    ----------
    marks : list of (weak reference, int, int, Finding)
        Owner, first and last byte of what a call left spoiled, and where that came from; the oldest first.
    findings : list of Finding
        The oldest first.
    leaves : dict of Tensor
        Those known by name, by their `id`.
    updates : list of Call
        Those that may have spoiled a parameter in an earlier step.
    """

    def __init__(self, leaves=(), updates=()):
        self.marks, self.findings, self.updates = [], [], updates
        self.leaves = weakref.WeakValueDictionary()
        self.meet(leaves)

    def meet(self, buffers):
        """Learn the names of the tensors among `buffers`."""
        self.leaves.update((id(x), x) for x in buffers if getattr(x, "name", None) is not None)

    def run(self, call):
        """Run `call`; its status."""
        read = [array for array in call.inputs if spoiled(array)]
        found = [array for array in call.outputs if spoiled(array)]  # to be overwritten, or added to
        cause = self.cause(read, call) or self.cause(found, call)
        nan = any(np.isnan(array).any() for array in read)
        masks = bool(read) and not nan and (cause.deliberate or (cause.outside and not any(map(has_inf, read))))
        guilty = cause is None or ((masks or not read) and self.spoils_anyway(call, read))
        status = call.run()
        made = [array for array in call.outputs if spoiled(array)]
        if status or not made:
            return status
        fresh = not nan and any(np.isnan(array).any() for array in made)
        if guilty or (fresh and masks and (cause.deliberate or call.node.takes_masks)):
            cause = self.note(describe(call, made[0], outside=False))
            if call.phase == "update":  # of many parameters at once
                cause.source = self.name_at(address_of_first(made[0]))
            cause.deliberate = not (fresh or np.isfinite(call.scalars).all())
        elif fresh and cause.became_nan is None:
            cause.became_nan = f"{call.node}, {call.phase}"
        if cause.step is None and cause.phase == call.phase:
            cause.step, cause.row = call.node.moment(call) or (None, None)
        for array in made:
            start, owner = array.__array_interface__["data"][0], array if array.base is None else array.base
            self.marks.append((weakref.ref(owner), start, start + array.nbytes, cause))
        return status

    @staticmethod
    def spoils_anyway(call, read):
        """Whether the call makes NaN or Inf from harmless numbers, too."""
        outputs = [None if array is None else memory.copy(array) for array in call.outputs]
        inputs = [memory.copy(array) if any(array is one for one in read) else array for array in call.inputs]
        for array in (*outputs, *inputs):
            if spoiled(array):
                array[~np.isfinite(array)] = HARMLESS
        trial = Call(call.kernel, outputs, inputs, call.sizes, call.scalars, call.dtype, None, call.phase, call.scratch)
        return not trial.run() and any(spoiled(array) for array in outputs)

    def cause(self, arrays, reader=None):
        """The oldest finding on what is spoiled in `arrays`; what nobody made, came in from outside to `reader`."""
        causes = []
        for array in arrays:
            if not spoiled(array):
                continue
            at = address_of_first(array)
            marks = (found for owner, start, end, found in reversed(self.marks) if start <= at < end and owner() is not None)
            cause = next(marks, None)
            if cause is None and reader is not None:
                cause = self.note(self.outsider(array, at, reader))
            causes += [cause] if cause else []
        return min(causes, key=self.findings.index, default=None)

    def note(self, finding):
        """Remember a finding."""
        self.findings.append(finding)
        return finding

    def name_at(self, address):
        """Name of the tensor that holds an address, None if it has none."""
        return next((x.name for x in self.leaves.values() if holds(x.array, address)), None)

    def outsider(self, array, at, reader):
        """The finding on an array that no call made."""
        finding = describe(reader, array, outside=True)
        finding.source = self.name_at(at)
        finding.deliberate = finding.nan == 0 and array.size == 1 and finding.source is None  # -inf, in plain code
        changers = (c.node.name for c in self.updates if any(holds(y, at) for y in c.outputs if y is not None))
        finding.updated_by = next(changers, None)
        return finding


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
        calls = [call for call in calls if call.phase != "update"]
        generator.counter[1] -= sum(any(array is generator.counter for array in call.outputs) for call in calls)
        for call in calls:
            inquest.run(call)
        return inquest.cause(arrays)


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


def spoiled(array):
    """Whether an array of floats holds a NaN or an Inf."""
    return array is not None and array.dtype.kind == "f" and not np.isfinite(array).all()


def address_of_first(array):
    """Where the first NaN is, or else the first Inf."""
    flat = array.reshape(-1)
    first = np.argmax(np.isnan(flat)) or (0 if np.isnan(flat[0]) else np.argmin(np.isfinite(flat)))
    return array.__array_interface__["data"][0] + int(first) * array.itemsize


def has_inf(array):
    """Whether an array holds +Inf, which is no mask."""
    return np.isposinf(array).any()


def holds(array, address):
    """Whether an array's memory has the byte at `address`."""
    start = array.__array_interface__["data"][0]
    return start <= address < start + array.nbytes
