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

    # arithmetic

    add = __add__ = __radd__ = F.add
    sub = __sub__ = F.sub
    mul = __mul__ = __rmul__ = F.mul
    div = __truediv__ = F.div
    neg = __neg__ = F.neg
    pow = __pow__ = F.pow
    abs = __abs__ = F.abs
    maximum, minimum, clamp = F.maximum, F.minimum, F.clamp
    exp, log, sqrt, rsqrt, square, reciprocal = F.exp, F.log, F.sqrt, F.rsqrt, F.square, F.reciprocal
    sin, cos, log1p, expm1, erf, sign = F.sin, F.cos, F.log1p, F.expm1, F.erf, F.sign

    def __rsub__(self, other):
        return F.sub(other, self)

    def __rtruediv__(self, other):
        return F.div(other, self)

    def __rpow__(self, other):
        return F.pow(other, self)

    # comparisons; equality of anything but numbers stays Python's, so that tensors fit into lists and dicts

    eq, ne = F.eq, F.ne
    lt = __lt__ = F.lt
    le = __le__ = F.le
    gt = __gt__ = F.gt
    ge = __ge__ = F.ge
    logical_and, logical_or, logical_not = F.logical_and, F.logical_or, F.logical_not
    isnan, isinf, isfinite = F.isnan, F.isinf, F.isfinite

    def __eq__(self, other):
        return F.eq(self, other) if isinstance(other, OPERANDS) else NotImplemented

    def __ne__(self, other):
        return F.ne(self, other) if isinstance(other, OPERANDS) else NotImplemented

    def __and__(self, other):
        return F.logical_and(*only_bools("&", self, other))

    def __or__(self, other):
        return F.logical_or(*only_bools("|", self, other))

    def __invert__(self):
        return F.logical_not(*only_bools("~", self))

    def where(self, condition, other):
        """The tensor where the condition holds, `other` elsewhere."""
        return F.where(condition, self, other)

    # reductions

    sum, mean, var, std, norm, logsumexp, prod = F.sum, F.mean, F.var, F.std, F.norm, F.logsumexp, F.prod
    amax, amin, max, min, argmax, argmin = F.amax, F.amin, F.max, F.min, F.argmax, F.argmin
    any, all = F.any, F.all

    # dtypes

    to = F.cast

    def float(self):
        """As float32."""
        return F.cast(self, np.float32)

    def double(self):
        """As float64."""
        return F.cast(self, np.float64)

    def long(self):
        """As int64, rounded towards 0."""
        return F.cast(self, np.int64)

    def bool(self):
        """Whether it is nonzero."""
        return F.cast(self, np.bool_)

    def __repr__(self):
        values = np.array2string(self.array, separator=", ", prefix="tensor(", threshold=100)
        history = f", node={self.node.name}" if self.node else ", requires_grad=True" if self.requires_grad else ""
        return f"tensor({values}, dtype={self.dtype}{history})"

    __hash__ = object.__hash__


engine.Tensor.public = Tensor
OPERANDS = (engine.Tensor, np.ndarray, np.number, np.bool_, bool, int, float, list)


def only_bools(operator, *operands):
    """The operands; TypeError if one is not bool: on integers the operator would mean their bits."""
    for operand in map(as_tensor, operands):
        if operand.dtype != bool:
            raise TypeError(
                f"{operator}: got dtype {operand.dtype}, expected bool; use logical_and, logical_or, logical_not"
            )
    return operands


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
        super().__init__(memory.copy(as_tensor(data).array), requires_grad)

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
