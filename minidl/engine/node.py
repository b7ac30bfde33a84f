"""Node: one operation of the graph, forward and backward."""

import itertools
import weakref
from typing import Any

import numpy as np

from minidl.engine import memory
from minidl.engine.state import state
from minidl.engine.tape import Call
from minidl.engine.tensor import Tensor, as_tensor
from minidl.kernels.elementwise import accumulate
from minidl.kernels.kernel import Status

_serial = itertools.count()


class Caller:
    """Whoever makes calls: runs each at once and shows it to the recording, if there is one.

    This is the one code path of the engine: eager code makes calls, a recording also keeps them, replay repeats them.
    """

    name = property(lambda self: type(self).__name__.lower(), doc="Name of the operation, for errors and listings.")

    def __init__(self):
        self.path = ".".join(state.scope)

    def call(self, kernel, outputs, inputs, sizes=(), scalars=(), dtype=None):
        """Run `kernel` now, and again at every replay.

        Parameters
        ----------
        kernel : Kernel
        outputs, inputs : list of Tensor, ndarray or None
            What it writes and reads, in the kernel's order.
        sizes, scalars : sequence
            The kernel's ``n`` and ``a``.
        dtype : dtype, optional
            Version of the kernel; by default that of the first output.
        """
        outputs = [_array(buffer) for buffer in outputs]
        inputs = [_array(buffer) for buffer in inputs]
        call = Call(kernel, outputs, inputs, sizes, scalars, dtype or outputs[0].dtype, self, state.phase)
        status = call.run()
        if status:
            raise self.error(call, status, self.history())
        self.keep(call)
        if state.detect_anomaly and not all_finite(outputs):
            raise FloatingPointError(describe_producer(call))

    def keep(self, call):
        """Remember a call that has just run."""
        if state.recording is not None:
            state.recording.append(call)

    def history(self):
        """The calls made before this one, as far as they are known."""
        return [] if state.recording is None else state.recording.tape.calls

    def error(self, call, status, history):
        """The exception for a kernel's non-zero status, given the calls that ran before."""
        if status == Status.BAD_INDEX:
            return IndexError(f"{self.title}: {self.explain_index(call)}")
        if status == Status.NONFINITE:
            return FloatingPointError(f"{self.title}: {self.explain_nonfinite(call, history)}")
        return RuntimeError(f"{self.title}: kernel {call.kernel.name} stopped with status {status}")

    def explain_index(self, call):
        """What is wrong with the index that a kernel refused."""
        return "index out of range"

    def explain_nonfinite(self, call, history):
        """What is wrong with the numbers that a kernel refused."""
        return "NaN or Inf"

    @property
    def title(self):
        """Where it is in the model and what it is, for errors and listings."""
        return f"{self.path}: {self.name}" if self.path else self.name

    def __str__(self):
        return self.title


class Node(Caller):
    """One differentiable operation.

    A subclass gives the two formulas: ``forward(*inputs)`` makes the outputs with `new` and fills them with
    `call`; ``backward(*gradients)`` gets one array per output and writes the array that `grad` hands out for each
    input. Kernels only ever write a gradient: where a tensor is used twice, the engine adds the contributions.
    """

    def __init__(self):
        super().__init__()
        self.freed = False

    def apply(self, *inputs):
        """Run the operation on `inputs`; its output, or a tuple of them."""
        self.serial = next(_serial)  # here, not when the node is made: its inputs may be made in between
        self.inputs = tuple(as_tensor(value) for value in inputs)
        self.tracked = state.grad_enabled and any(x.requires_grad for x in self.inputs)
        self.made: list[tuple[Any, Any, Any, Any, Any, Any]] = []
        self.pending: list[tuple[Tensor, np.ndarray]] = []
        if state.recording is not None:
            state.recording.rely_on_leaves(self.inputs)
        result = self.forward(*self.inputs)
        outputs = result if isinstance(result, tuple) else (result,)
        if self.tracked:
            # weak: a node must not keep its outputs alive, they keep the node
            self.outputs = [(y.shape, y.dtype, weakref.ref(y)) for y in outputs if y.dtype.kind == "f"]
            for y in outputs:
                if y.dtype.kind == "f":
                    y._requires_grad, y.node = True, self
        return result

    def forward(self, *inputs):
        """Make the outputs."""
        raise NotImplementedError

    def backward(self, *gradients):
        """Write the gradients of the inputs."""
        raise NotImplementedError

    def keep(self, call):
        """Remember what a forward call was made of, to tell who made a NaN; not the call, which knows its node."""
        super().keep(call)
        if self.tracked and state.phase == "forward":
            self.made.append((call.kernel, call.outputs, call.inputs, call.sizes, call.scalars, call.dtype))

    def calls(self):
        """The forward calls, made anew."""
        return [Call(*made, self, "forward") for made in self.made]

    def new(self, shape, dtype=None):
        """A fresh output tensor; by default of the dtype of the first input."""
        return self.wrap(memory.empty(shape, dtype or self.inputs[0].dtype))

    def wrap(self, array):
        """An output tensor over existing memory."""
        output = Tensor.public(array)
        output.recording = state.recording
        return output

    def grad(self, i=0):
        """Where to write the gradient of input `i`; None if nobody needs it."""
        x = self.inputs[i]
        if not x.requires_grad:
            return None
        if x in self.written:
            scratch = memory.empty(x.shape, x.dtype)
            self.pending.append((x, scratch))
            return scratch
        self.written.add(x)
        return x.gradient_buffer()

    def run_backward(self, gradients, written):
        """One step of `autograd.backward`: the formula, then the sums where a gradient was there already."""
        if not any(x.requires_grad for x in self.inputs):  # switched off since forward
            return
        self.written = written
        self.backward(*gradients)
        for x, scratch in self.pending:
            self.call(accumulate, [x.buffer], [scratch], [scratch.size])
        self.pending = []

    def release(self):
        """Let go of everything but what errors and listings need."""
        keep = {"path": self.path, "serial": self.serial, "freed": True}
        self.__dict__.clear()
        self.__dict__.update(keep)


def _array(buffer):
    return buffer.array if isinstance(buffer, Tensor) else buffer


def all_finite(arrays):
    """Whether no float array holds a NaN or an Inf."""
    return all(np.isfinite(array).all() for array in arrays if array is not None and array.dtype.kind == "f")


def origin(calls):
    """Sentence on where the first NaN or Inf came from: made by one of `calls`, or read by it; None if there is none.

    Buffers still hold what the calls left there. A buffer that several calls wrote in turn may have been spoiled by a
    later one, so a suspect is run once more, on buffers of its own.
    """
    for call in calls:
        if all_finite(call.outputs):
            continue
        spoiled = [array for array in call.inputs if not all_finite([array])]
        if spoiled:
            return f"It came in from outside: {call.node} read {counts(spoiled)}"
        outputs = [None if array is None else memory.copy(array) for array in call.outputs]
        call.on(outputs).run()
        if not all_finite(outputs):
            return f"First produced by {describe_producer(call)}"
    return None


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
