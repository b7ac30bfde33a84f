"""Node: one operation of the graph, forward and backward."""

import copy
import itertools
import math
import weakref
from typing import Any

import numpy as np

from minidl.engine import memory
from minidl.engine.finding import NonFiniteError
from minidl.engine.state import state
from minidl.engine.tape import Call
from minidl.engine.tensor import Edge, Tensor, as_tensor
from minidl.kernels.elementwise import accumulate
from minidl.kernels.kernel import Status

_serial = itertools.count()


class Caller:
    """Whoever makes calls: runs each at once and shows it to the recording, if there is one.

    This is the one code path of the engine: eager code makes calls, a recording also keeps them, replay repeats them.
    """

    name = property(lambda self: type(self).__name__.lower(), doc="Name of the operation, for errors and listings.")
    named_by: tuple[str, ...] = ("path",)  # attributes that errors and listings need
    statistics: Any = None  # what it did so far (`Statistics`), where it keeps count
    takes_masks = False  # whether -inf among its inputs is legal

    def __init__(self):
        self.path = ".".join(state.scope)

    def call(self, kernel, outputs, inputs, sizes=(), scalars=(), dtype=None, scratch=()):
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
        scratch : list of ndarray
            What it works in, behind the others in the kernel's order.
        """
        watch = state.detect_anomaly
        if watch:
            watch.meet(inputs)
        outputs = [_array(buffer) for buffer in outputs]
        inputs = [_array(buffer) for buffer in inputs]
        caller, recording = self, state.recording
        if recording is not None:
            outputs, inputs, scratch = (recording.hold(arrays) for arrays in (outputs, inputs, scratch))
            caller = self.label()
        call = Call(
            kernel, outputs, inputs, sizes, scalars, dtype or outputs[0].dtype, caller, state.phase, scratch, state.gate
        )
        if recording is not None:
            recording.before(call)
        status = watch.run(call) if watch and not call.closed else call.run()
        if status:
            self.resolve(call, status, recording)
        if recording is not None:
            recording.append(call)

    def label(self):
        """Stands in for the caller in a recording: it has its name and its errors, but keeps no buffers alive."""
        label = object.__new__(type(self))
        label.__dict__.update((name, getattr(self, name)) for name in self.named_by)
        return label

    def resolve(self, call, status, recording):
        """Answer a kernel's non-zero status: raise, as most do, or return, and the step goes on with the next call."""
        raise self.error(call, status, recording)

    def error(self, call, status, recording):
        """The exception for a kernel's non-zero status, given the recording with the calls before, None if eager."""
        if status == Status.BAD_INDEX:
            return IndexError(f"{self.title}: {self.explain_index(call)}")
        if status == Status.NONFINITE:
            what, finding = self.explain_nonfinite(call, recording)
            return NonFiniteError(f"{self.title}: {what}", finding)
        return RuntimeError(f"{self.title}: kernel {call.kernel.name} stopped with status {status}")

    def explain_index(self, call):
        """What is wrong with the index that a kernel refused."""
        return "index out of range"

    def explain_nonfinite(self, call, recording):
        """What is wrong with the numbers that a kernel refused, and who made them, if that is known."""
        return "NaN or Inf", None

    def moment(self, call):
        """Step in time and row of the batch where the NaN and Inf began that a call left, in nodes that know time."""
        return None

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

    Attributes
    ----------
    role : str or None
        What it is in a network, for those who watch: "weights", "activation", "normalization" or "recurrent".
    unit_axis : int
        The dimension of its output that counts units or channels.
    saturates : (float, float)
        Outputs at or beyond these hardly move when the input does.
    """

    role: str | None = None
    unit_axis = -1
    saturates = (-math.inf, math.inf)

    def __init__(self):
        super().__init__()
        self.freed = False

    def apply(self, *inputs):
        """Run the operation on `inputs`; its output, or a tuple of them."""
        self.serial = next(_serial)  # here, not when the node is made: its inputs may be made in between
        self.inputs = tuple(as_tensor(value) for value in inputs)
        self.tracked = state.grad_enabled and any(x.requires_grad for x in self.inputs)
        self.pending: list[tuple[Tensor | Edge, np.ndarray]] = []
        if state.recording is not None:
            state.recording.rely_on_leaves(self.inputs)
        if state.detect_anomaly:
            state.detect_anomaly.meet(self.inputs)
        result = self.forward(*self.inputs)
        outputs = result if isinstance(result, tuple) else (result,)
        if self.tracked:
            # the values of an input that is no leaf are kept only if the formula saved them
            self.inputs = tuple(x.edge or x for x in self.inputs)
            self.outputs: list[tuple[Any, Any, Any]] = []
            for y in outputs:
                if y.dtype.kind == "f":
                    y._requires_grad, y.edge = True, Edge(self, y.shape, y.dtype)
                    # weak: a node must not keep its outputs alive, they keep the node
                    self.outputs.append((y.shape, y.dtype, weakref.ref(y.edge)))
        if state.observer is not None:
            state.observer.saw_outputs(self, outputs)
        return result

    def forward(self, *inputs):
        """Make the outputs."""
        raise NotImplementedError

    def backward(self, *gradients):
        """Write the gradients of the inputs."""
        raise NotImplementedError

    def again(self, inputs):
        """Compute the outputs once more, from other inputs; the node itself stays as it is."""
        node = copy.copy(self)
        node.inputs = inputs
        result = node.forward(*inputs)
        return result if isinstance(result, tuple) else (result,)

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
        if state.observer is not None:
            state.observer.saw_gradients(self, gradients)
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
