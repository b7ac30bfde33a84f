"""What a recorded step consists of: its calls, and what it took for granted."""

import weakref

import numpy as np

from minidl.engine import dump, memory
from minidl.engine.autograd import mark
from minidl.engine.finding import NonFiniteError
from minidl.engine.node import Caller
from minidl.engine.pool import Chunk, Pool
from minidl.engine.random import generator
from minidl.engine.state import state, version
from minidl.engine.tape import Call, Tape
from minidl.engine.tensor import Tensor
from minidl.kernels.elementwise import copy, expect_flags
from minidl.kernels.kernel import Status

SWITCHES = ("training", "requires_grad", "inside")  # guards whose values come back


class Recording(Caller):
    """One recorded run of a step: its tape, its result, and what it took for granted.

    Attributes
    ----------
    tape : Tape
        The calls in order, behind a check of the flags if there is something to check.
    calls : list of Call
        Those that the function made.
    pool : Pool
        Where the buffers come from that the function's own arrays lie in. Calls hold the memory, not the arrays.
    result : object
        What the function returned.
    guards : dict
        ``{(weak reference, attribute): value}``: train/eval modes of modules, `requires_grad` of leaves, and the
        like. They are looked at when `version.count` has changed, and compared by identity.
    flags : dict
        ``{leaf: value}``: whether a leaf had a gradient when the step began; None where the step itself decides.
    checked : set of Tensor
        Leaves whose gradients the step has found finite since it last changed them: no need to look again.
    read : set of Tensor
        Those whose values the function has looked at; a change in place afterwards would be unseen in replays.
    witness : list or None
        Gets a copy of what each call left in its outputs.
    lasting : dict
        By `id`, what forward calls change in place, such as running statistics, and what it was before. The tape
        begins with copies of it, so that a step that fails leaves no traces.
    refill : Refill or None
        Puts the values of a dumped step in place.
    """

    name = "backup"  # its own calls: the copies

    def __init__(self, function, arguments, witness=None, refill=None):
        super().__init__()
        self.witness, self.refill, self.lasting = witness, refill, {}
        arguments = self.arguments = named(arguments, memory.copy)
        feeds = self.feeds = [argument for argument in arguments if isinstance(argument, Tensor)]
        self.tape, self.pool = Tape([feed.array for feed in feeds]), Pool(blank=witness is not None)
        self.calls = self.tape.calls
        self.guards, self.flags, self.checked = {}, {}, set()
        self.read: set[Tensor] = set()
        for feed in feeds:
            feed.recording = self
        gate = state.gate
        state.recording, state.pool, state.gate = self, self.pool, None
        try:
            self.result = function(*arguments)
        except NonFiniteError as error:
            self.undo(error)
            raise
        finally:
            state.recording, state.pool, state.gate = None, None, gate
            self.read.clear()
        self.version, self.grad_enabled = version.count, state.grad_enabled
        self.observer = watcher()
        self.keep_what_lasts()
        self.check_flags_first()

    nbytes = property(lambda self: self.pool.nbytes, doc="Bytes that the calls work in, besides parameters and state.")

    def hold(self, arrays):
        """What a call keeps of its arrays."""
        return [self.pool.hold(array) for array in arrays]

    def before(self, call):
        """A call is about to run."""
        if self.refill is not None:
            self.refill.before(call, {id(feed.array) for feed in self.feeds})
        if call.phase == "forward":
            for array in call.outputs:
                if dump.lasting(array):
                    self.lasting.setdefault(id(array), (array, memory.copy(array)))

    def append(self, call):
        """Note a call that has just run."""
        self.tape.append(call)
        if self.witness is not None:
            self.witness.append(results(call))

    def rely_on(self, owner, attribute):
        """Note that the calls assume the present value of an attribute."""
        self.guards.setdefault((weakref.ref(owner), attribute), getattr(owner, attribute))

    def changes(self, x, by):
        """Note that a call changes `x` in place; RuntimeError if the step has read its values."""
        if x in self.read:
            raise RuntimeError(
                f"{by}: the step has read the values of the tensor before; a replay would not read the new ones. "
                "Read it outside the step"
            )
        x.recording = self

    def rely_on_leaves(self, tensors):
        """Note which leaves require gradients, and where those lie that the step has not made itself."""
        for tensor in tensors:
            if tensor.is_leaf and tensor.dtype.kind == "f":
                self.rely_on(tensor, "requires_grad")
                if tensor.recording is not self:
                    self.rely_on(tensor, "array")

    def rely_on_flag(self, leaf):
        """Note whether `leaf` has a gradient now, unless the step itself has set or cleared it."""
        if leaf.recording is not self:
            self.rely_on(leaf, "array")
        elif leaf not in self.flags:  # made by the step: a replay must find it without
            mark(self, [leaf], False)
        self.flags.setdefault(leaf, bool(leaf.gradient_flag()[0]))

    def decides_flags(self, leaves):
        """Note that the step sets the flags of `leaves` itself, and changes their gradients."""
        for leaf in leaves:
            self.flags.setdefault(leaf, None)
        self.checked.difference_update(leaves)

    def check_flags_first(self):
        """Let the tape begin with a look at the flags that the step relies on."""
        relied = {leaf: value for leaf, value in self.flags.items() if value is not None}
        if relied:
            flags = [leaf.gradient_flag() for leaf in relied]
            values = [float(value) for value in relied.values()]
            check = Call(expect_flags, [], flags, [len(flags)], values, np.dtype(np.uint8), self, "forward")
            self.tape.insert(0, check)
            self.calls = self.tape.calls[1 + len(self.lasting) :]

    def keep_what_lasts(self):
        """Let the tape begin with copies of what forward calls change in place; not of weights, which are large."""
        trained = {id(array) for x in self.leaves() if x.requires_grad for array in (x.array, x.buffer)}
        self.lasting = {key: pair for key, pair in self.lasting.items() if key not in trained}
        for array, before in self.lasting.values():
            self.tape.insert(0, Call(copy, [before], [array], [array.size], [], array.dtype, self, "forward"))
        if self.lasting:
            self.calls = self.tape.calls[len(self.lasting) :]

    def undo(self, error):
        """Put back what a failed step has changed in place, and let the error know the step."""
        for array, before in self.lasting.values():
            array[...] = before
        if error.recording is None:
            error.recording = self

    def holds(self):
        """Whether what the recording took for granted is still so."""
        if self.version != version.count:
            if self.observer != watcher():
                return False
            for (reference, attribute), value in self.guards.items():
                owner = reference()
                if owner is not None and getattr(owner, attribute) is not value:
                    return False
            self.version = version.count
        return True

    def lost(self):
        """Whether the recording can never hold again: something was replaced, or is gone, that does not come back."""
        if self.observer is not None and self.observer() is None:
            return True
        return any(
            attribute not in SWITCHES and owner() is not None and getattr(owner(), attribute) is not value
            for (owner, attribute), value in self.guards.items()
        )

    def flags_hold(self):
        """Whether the leaves have gradients, or none, as they had when the step was recorded."""
        return all(value is None or value == leaf.gradient_flag()[0] for leaf, value in self.flags.items())

    def replay(self, arrays):
        """Run the tape on `arrays`; False if it does not fit the arguments or the flags."""
        if not self.tape.feed(arrays):
            return False
        status = self.tape.replay()
        while status:
            if status == Status.STALE:
                return False
            at = self.tape.stopped
            call = self.tape.calls[at]
            try:
                call.node.resolve(call, status, self)
            except NonFiniteError as error:
                error.call = call
                self.undo(error)
                raise
            status = self.tape.replay(at + 1)
        return True

    def timed(self, repeats):
        """Nanoseconds of each call, the median of `repeats` replays; what they change is put back."""
        buffers = self.buffers()
        before = [array.copy() for array in buffers]
        times = np.zeros((repeats, len(self.tape)))
        try:
            for row in times:
                if self.tape.timed(row):
                    raise RuntimeError(
                        "the step does not run again: its last inputs made NaN or Inf, or gradients changed"
                    )
        finally:
            restore(buffers, before)
        return np.median(times, axis=0)

    def calls_before(self, stop):
        """The calls that come before another; all so far if that is not on the tape."""
        calls = self.calls
        return calls[: next((i for i, call in enumerate(calls) if call is stop), len(calls))]

    def leaves(self):
        """The arguments, and the leaves that the step has not made itself."""
        known = (owner() for owner, attribute in self.guards if attribute == "array")
        return [*self.feeds, *(leaf for leaf in known if leaf is not None)]

    def buffers(self):
        """Every array that the tape reads or writes, and the random counter."""
        arrays = [generator.counter, *self.tape.feeds]
        for call in self.tape.calls:
            for array in call.outputs + call.inputs + call.scratch:
                if array is not None:
                    arrays.append(array.base if isinstance(array.base, Chunk) else array)
        return list({id(array): array for array in arrays}.values())


def named(arguments, share=lambda array: array):
    """The arguments, with tensors of their own in place of those that are tensors: named by number, for errors."""
    found = [Tensor.public(share(a.array)) if isinstance(a, Tensor) else a for a in arguments]
    for i, argument in enumerate(found):
        if isinstance(argument, Tensor):
            argument.name = f"argument {i}"
    return found


def watcher():
    """A weak reference to who watches, which the next observer never equals; None if nobody does."""
    return state.observer and weakref.ref(state.observer)


def results(call):
    """Copies of what a call has just left in its outputs."""
    return [array.copy() for array in call.outputs if array is not None]


def restore(buffers, values):
    """Put saved values back."""
    for array, value in zip(buffers, values, strict=True):
        array[...] = value
