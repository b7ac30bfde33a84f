"""Where the NaN and Inf in memory come from: who made the first one, and who only passed it on.

An Inf that came to nothing, such as that of a mask in front of a softmax, is nobody's fault.
"""

import weakref

import numpy as np

from minidl.engine import memory
from minidl.engine.finding import Finding, describe
from minidl.engine.tape import Call
from minidl.engine.tensor import Tensor

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
        self.marks: list[tuple[weakref.ref, int, int, Finding]] = []
        self.findings: list[Finding] = []
        self.leaves: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()
        self.updates = updates
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
                at = int(np.ravel_multi_index(cause.index, cause.shape)) * made[0].itemsize
                cause.source = self.name_at(memory.address(made[0]) + at)
            cause.deliberate = not (fresh or np.isfinite(call.scalars).all())
        elif fresh and cause.became_nan is None:
            cause.became_nan = f"{call.node.title}, {call.phase}"
        if cause.step is None and cause.phase == call.phase:
            cause.step, cause.row = call.node.moment(call) or (None, None)
        self.marks = [mark for mark in self.marks if mark[0]() is not None]
        for array in made:
            start, owner = memory.address(array), array if array.base is None else array.base
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
        scratch = [memory.copy(array) for array in call.scratch]
        trial = Call(call.kernel, outputs, inputs, call.sizes, call.scalars, call.dtype, None, call.phase, scratch)
        return not trial.run() and any(spoiled(array) for array in outputs)

    def cause(self, arrays, reader=None):
        """The oldest finding on what is spoiled in `arrays`; what nobody made, came in from outside to `reader`.

        What may be a mask comes last.
        """
        causes = []
        for array in arrays:
            if not spoiled(array):
                continue
            at = address_of_first(array)
            living = ((start, end, found) for owner, start, end, found in reversed(self.marks) if owner() is not None)
            cause = next((found for start, end, found in living if start <= at < end), None)
            if cause is None and reader is not None:
                cause = self.note(self.outsider(array, at, reader))
            causes += [cause] if cause else []
        return min(causes, key=lambda cause: (may_be_mask(cause), self.findings.index(cause)), default=None)

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


def spoiled(array):
    """Whether an array of floats holds a NaN or an Inf."""
    return array is not None and array.dtype.kind == "f" and not np.isfinite(array).all()


def address_of_first(array):
    """Where the first NaN is, or else the first Inf."""
    flat = array.reshape(-1)
    first = np.argmax(np.isnan(flat)) or (0 if np.isnan(flat[0]) else np.argmin(np.isfinite(flat)))
    return memory.address(array) + int(first) * array.itemsize


def may_be_mask(finding):
    """Whether an Inf was asked for, or came in with the data."""
    return finding.deliberate or (finding.outside and finding.nan == 0)


def has_inf(array):
    """Whether an array holds +Inf, which is no mask."""
    return np.isposinf(array).any()


def holds(array, address):
    """Whether an array's memory has the byte at `address`."""
    return 0 <= address - memory.address(array) < array.nbytes
