"""The tensor that users see: the engine's, with gradients, operations and operators by the names PyTorch users know."""

import numpy as np

from minidl import engine
from minidl import functional as F
from minidl.engine import as_array, as_tensor, memory, state
from minidl.engine.autograd import mark
from minidl.engine.tensor import DTYPES
from minidl.functional import inplace
from minidl.kernels.elementwise import copy


def _assignment(function, change):
    """An operator such as ``+=``: in place, but a new tensor where a graph needs the old one or the gradient."""

    def operator(self, other):
        graph = self.node is not None or isinstance(other, engine.Tensor) and other.requires_grad
        leaf = self.node is None and self.requires_grad  # which only `change` may refuse
        return function(self, other) if state.grad_enabled and graph and not leaf else change(self, other)

    return operator


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

    def __deepcopy__(self, memo):
        if not self.is_leaf:
            raise RuntimeError(f"deepcopy: only leaves can be copied, got the output of {self.node}; use detach()")
        twin = memo[id(self)] = self._copied()
        twin.name = self.name
        if self.has_grad():
            twin.grad = self.buffer
        return twin

    def _copied(self):
        return Tensor(memory.copy(self.array), self.requires_grad)

    def requires_grad_(self, requires_grad=True):
        """Set `requires_grad`; returns the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def data(self):
        """The same values without history, as `detach` gives them."""
        return self.detach()

    def numel(self):
        """Number of elements."""
        return self.array.size

    def dim(self):
        """Number of dimensions."""
        return self.ndim

    def size(self, dim=None):
        """The shape, or one of its sizes."""
        return self.shape if dim is None else self.shape[dim]

    def detach(self):
        """The same values, sharing memory, without history."""
        detached = Tensor(self.array)
        detached.recording = self.recording
        return detached

    # shape

    def reshape(self, *shape):
        """The same elements in another shape; shares memory."""
        return F.reshape(self, _dims(shape))

    view = reshape

    def flatten(self, start_dim=0, end_dim=-1):
        """One dimension instead of those from `start_dim` to `end_dim`."""
        return F.flatten(self, start_dim, end_dim)

    def squeeze(self, dim=None):
        """Without the dimensions of size 1."""
        return F.squeeze(self, dim)

    def unsqueeze(self, dim):
        """With a dimension of size 1 at `dim`."""
        return F.unsqueeze(self, dim)

    def transpose(self, dim0, dim1):
        """With two dimensions exchanged."""
        return F.transpose(self, dim0, dim1)

    def t(self):
        """The transpose of a matrix."""
        return F.t(self)

    @property
    def T(self):
        """With the dimensions in reverse order."""
        return F.permute(self, range(self.ndim - 1, -1, -1))

    @property
    def mT(self):
        """With the last two dimensions exchanged."""
        if self.ndim < 2:
            raise ValueError(f"mT: got shape {self.shape}, expected at least 2 dimensions")
        return F.transpose(self, -2, -1)

    def permute(self, *dims):
        """With the dimensions in another order."""
        return F.permute(self, _dims(dims))

    def expand(self, *sizes):
        """Repeated along dimensions of size 1 and new ones."""
        return F.expand(self, _dims(sizes))

    broadcast_to = expand

    def expand_as(self, other):
        """Expanded to the shape of `other`."""
        return F.expand(self, other.shape)

    def repeat(self, *sizes):
        """Copies one after the other along every dimension."""
        return F.repeat(self, _dims(sizes))

    def flip(self, *dims):
        """With the order reversed along `dims`."""
        return F.flip(self, _dims(dims))

    def split(self, split_size, dim=0):
        """Pieces of the size, or the sizes, given."""
        return F.split(self, split_size, dim)

    def chunk(self, chunks, dim=0):
        """At most `chunks` pieces of equal size."""
        return F.chunk(self, chunks, dim)

    def unbind(self, dim=0):
        """The slices along `dim`."""
        return F.unbind(self, dim)

    def narrow(self, dim, start, length):
        """`length` elements along `dim` from `start` on."""
        return F.narrow(self, dim, start, length)

    def clone(self):
        """A copy through which gradients flow."""
        return F.clone(self)

    def contiguous(self):
        """The tensor itself: every tensor is contiguous."""
        return self

    # indexing

    def __getitem__(self, index):
        return F.getitem(self, index)

    def __iter__(self):
        if not self.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(F.unbind(self))

    def gather(self, dim, index):
        """The elements at `index` along `dim`."""
        return F.gather(self, dim, index)

    def index_select(self, dim, index):
        """The slices at `index` along `dim`."""
        return F.index_select(self, dim, index)

    def take_along_dim(self, indices, dim=None):
        """`gather` with broadcasting."""
        return F.take_along_dim(self, indices, dim)

    def masked_fill(self, mask, value):
        """`value` where `mask` is true."""
        return F.masked_fill(self, mask, value)

    def tril(self, diagonal=0):
        """The lower triangle."""
        return F.tril(self, diagonal)

    def triu(self, diagonal=0):
        """The upper triangle."""
        return F.triu(self, diagonal)

    # products

    def __matmul__(self, other):
        return F.matmul(self, other)

    def __rmatmul__(self, other):
        return F.matmul(other, self)

    def matmul(self, other):
        """Matrix product."""
        return F.matmul(self, other)

    def mm(self, mat2):
        """Product of two matrices."""
        return F.mm(self, mat2)

    def bmm(self, mat2):
        """Products of two batches of matrices."""
        return F.bmm(self, mat2)

    def dot(self, other):
        """Inner product of two vectors."""
        return F.dot(self, other)

    def outer(self, vec2):
        """Products of all pairs of elements of two vectors."""
        return F.outer(self, vec2)

    # in place

    def fill_(self, value):
        """All elements become `value`."""
        return inplace.fill_(self, value)

    def zero_(self):
        """All elements become 0."""
        return inplace.zero_(self)

    def copy_(self, source):
        """The elements become those of `source`."""
        return inplace.copy_(self, source)

    def add_(self, other, alpha=1):
        """Add alpha * other in place."""
        return inplace.add_(self, other, alpha)

    def sub_(self, other, alpha=1):
        """Subtract alpha * other in place."""
        return inplace.sub_(self, other, alpha)

    def mul_(self, other):
        """Multiply in place."""
        return inplace.mul_(self, other)

    def div_(self, other):
        """Divide in place."""
        return inplace.div_(self, other)

    __iadd__, __isub__ = _assignment(F.add, inplace.add_), _assignment(F.sub, inplace.sub_)
    __imul__, __itruediv__ = _assignment(F.mul, inplace.mul_), _assignment(F.div, inplace.div_)

    # activations and softmax

    def relu(self):
        """`functional.relu` of this tensor."""
        return F.relu(self)

    def sigmoid(self):
        """`functional.sigmoid` of this tensor."""
        return F.sigmoid(self)

    def tanh(self):
        """`functional.tanh` of this tensor."""
        return F.tanh(self)

    def softmax(self, dim):
        """`functional.softmax` of this tensor."""
        return F.softmax(self, dim)

    def log_softmax(self, dim):
        """`functional.log_softmax` of this tensor."""
        return F.log_softmax(self, dim)

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

    def uniform_(self, low=0.0, high=1.0):
        """Uniform random numbers in [low, high)."""
        return inplace.uniform_(self, low, high)

    def normal_(self, mean=0.0, std=1.0):
        """Normal random numbers."""
        return inplace.normal_(self, mean, std)

    def bernoulli_(self, p=0.5):
        """1 with probability `p`, else 0."""
        return inplace.bernoulli_(self, p)

    def __format__(self, spec):
        return super().__format__(spec) if self.ndim else format(self.item(), spec)

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


# the parameters of a model lie side by side, and their gradients too
_weights, _gradients = memory.Arena(), memory.Arena()


def _dims(numbers):
    """``f(2, 3)`` and ``f((2, 3))`` are the same dimensions."""
    return tuple(numbers[0]) if len(numbers) == 1 and not isinstance(numbers[0], (int, np.integer)) else numbers


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
        data = as_tensor(data)
        data.check_readable("Parameter()")
        values = data.array
        super().__init__(_weights.zeros(values.shape, values.dtype), requires_grad)
        self.array[...] = values
        self.buffer = _gradients.zeros(values.shape, values.dtype)

    def _copied(self):
        return Parameter(self.array, self.requires_grad)

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
    data = as_tensor(data)
    data.check_readable("tensor()")
    return Tensor(memory.copy(as_array(data, dtype)), requires_grad)


def from_numpy(array):
    """A tensor that shares the memory of a contiguous, writeable float32, float64, int64 or bool array."""
    if array.dtype not in DTYPES or not array.flags.c_contiguous or not array.flags.writeable:
        raise ValueError(
            f"from_numpy: got dtype {array.dtype}, strides {array.strides} and writeable={array.flags.writeable}, "
            "expected a contiguous, writeable float32, float64, int64 or bool array; use tensor() to copy"
        )
    return Tensor(array)
