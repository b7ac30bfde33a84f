"""The tensor that users see: the engine's, with gradients, operations and operators by the names PyTorch users know."""

import numpy as np

from minidl import engine
from minidl import functional as F
from minidl.engine import as_array, as_tensor, memory, state
from minidl.engine.autograd import mark
from minidl.engine.tensor import DTYPES
from minidl.kernels.elementwise import copy


class Tensor(engine.Tensor):
    __slots__ = ()
    __doc__ = engine.Tensor.__doc__
    __array_priority__ = 100  # ndarray + Tensor is a Tensor

    # gradients

    def backward(self, gradient=None, retain_graph=False, on_nonfinite="raise"):
        engine.backward(self, gradient, retain_graph, on_nonfinite)

    backward.__doc__ = engine.backward.__doc__

    @property
    def grad(self):
        """Gradient that `backward` left here, sharing its memory; None if there is none."""
        if not self.has_grad():
            return None
        gradient = Tensor(self.buffer)
        gradient.recording = state.recording
        return gradient

    @grad.setter
    def grad(self, value):
        if value is None:
            mark(engine.Caller(), [self], False)
            return
        array = as_array(value, self.dtype)
        if array.shape != self.shape:
            raise ValueError(f"grad: got shape {array.shape}, expected {self.shape}")
        engine.Caller().call(copy, [self.gradient_buffer()], [array], [array.size])
        mark(engine.Caller(), [self], True)

    def requires_grad_(self, requires_grad=True):
        """Set `requires_grad`; returns the tensor."""
        self.requires_grad = requires_grad
        return self

    def detach(self):
        """The same values, sharing memory, without history."""
        detached = Tensor(self.array)
        detached.recording = self.recording
        return detached

    def __repr__(self):
        values = np.array2string(self.array, separator=", ", prefix="tensor(", threshold=100)
        history = f", node={self.node.name}" if self.node else ", requires_grad=True" if self.requires_grad else ""
        return f"tensor({values}, dtype={self.dtype}{history})"

    __hash__ = object.__hash__


engine.Tensor.public = Tensor


# the parameters of a model lie side by side, and their gradients too
_weights, _gradients = memory.Arena(), memory.Arena()


class Parameter(Tensor):
    """A tensor that trains.

    Parameters
    ----------
    data : Tensor or array
        Initial values; copied.
    requires_grad : bool
        Whether it trains.
    """

    __slots__ = ()

    def __init__(self, data, requires_grad=True):
        values = as_tensor(data).array
        super().__init__(_weights.zeros(values.shape, values.dtype), requires_grad)
        self.array[...] = values
        self.buffer = _gradients.zeros(values.shape, values.dtype)

    def __repr__(self):
        return f"Parameter {super().__repr__()}"


def tensor(data, dtype=None, requires_grad=False):
    """A new tensor with a copy of `data`.

    Parameters
    ----------
    data : array, number or nested sequence
        Python floats become float32, integers int64; arrays keep their dtype.
    dtype : dtype or str, optional
    requires_grad : bool

    Returns
    -------
    Tensor
    """
    dtype = None if dtype is None else np.dtype(dtype)
    if dtype is not None and dtype not in DTYPES:
        raise TypeError(f"tensor: dtype: got {dtype}, expected float32, float64, int64 or bool")
    return Tensor(memory.copy(as_array(as_tensor(data).array, dtype)), requires_grad)


def from_numpy(array):
    """A tensor that shares the memory of a contiguous float32, float64, int64 or bool array."""
    if array.dtype not in DTYPES or not array.flags.c_contiguous:
        raise ValueError(
            f"from_numpy: got dtype {array.dtype} and strides {array.strides}, "
            "expected a contiguous float32, float64, int64 or bool array; use tensor() to copy"
        )
    return Tensor(array)
