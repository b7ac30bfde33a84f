"""Tensor: a contiguous buffer, its gradient, and the node that made it."""

import numpy as np

from minidl.engine import memory
from minidl.engine.state import state, user_line, version

DTYPES = {np.dtype(name) for name in ("float32", "float64", "int64", "bool")}
FLOATS = {np.dtype("float32"), np.dtype("float64")}


class Tensor:
    """An array that knows how it was computed.

    The buffer is always C-contiguous: there are no strides in the engine, so kernels are plain loops.
    Reshaping shares memory; transposing and slicing copy.

    Parameters
    ----------
    array : ndarray
        Contiguous buffer of dtype float32, float64, int64 or bool; shared, not copied.
    requires_grad : bool
        Whether `backward` computes a gradient for it.

    Attributes
    ----------
    array : ndarray
        The buffer itself, unguarded; `numpy()` is the checked way to it.
    node : Node or None
        The operation that made it; None for a leaf.
    edge : Edge or None
        What the graph knows of it; None for a leaf.
    """

    __slots__ = (
        "__weakref__",
        "_requires_grad",
        "array",
        "buffer",  # leaf: memory of the gradient, kept from step to step
        "edge",
        "flag",  # leaf: one byte, 1 while the buffer holds a gradient; a buffer itself, so that tapes can set it
        "name",
        "recording",  # the recording whose values this one depends on
    )
    public: type  # the class of results, set by the floor that adds the methods

    def __init__(self, array, requires_grad=False):
        if array.dtype not in DTYPES:
            raise TypeError(f"Tensor: got dtype {array.dtype}, expected float32, float64, int64 or bool")
        if requires_grad and array.dtype not in FLOATS:
            raise TypeError(f"Tensor: only float tensors can require gradients, got dtype {array.dtype}")
        self.array = array
        self._requires_grad = requires_grad
        self.edge = self.buffer = self.flag = self.recording = self.name = None
        if requires_grad:  # a leaf that a step makes has no gradient when a replay begins
            self.recording = state.recording

    shape = property(lambda self: self.array.shape, doc="Sizes of the dimensions.")
    dtype = property(lambda self: self.array.dtype, doc="NumPy dtype.")
    ndim = property(lambda self: self.array.ndim, doc="Number of dimensions.")
    node = property(lambda self: None if self.edge is None else self.edge.node, doc="The operation that made it.")
    is_leaf = property(lambda self: self.edge is None, doc="Whether it was made by the user, not by an operation.")

    @property
    def requires_grad(self):
        """Whether `backward` computes a gradient for this tensor."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value):
        if self.node is not None and not value:
            raise RuntimeError("requires_grad: can only be switched off on leaves; use detach()")
        if value and self.dtype not in FLOATS:
            raise TypeError(f"requires_grad: only float tensors can require gradients, got dtype {self.dtype}")
        if bool(value) != self._requires_grad:
            if state.recording not in (None, self.recording):  # the step starts with what it is now
                state.recording.rely_on(self, "requires_grad")
            self._requires_grad = bool(value)
            version.count += 1

    # the gradient

    def gradient_buffer(self):
        """Memory for the gradient of a leaf, made on first use."""
        if self.buffer is None or self.buffer.shape != self.shape:
            self.buffer = memory.allocate(self.shape, self.dtype)
        return self.buffer

    def gradient_flag(self):
        """The byte that says whether the gradient buffer of a leaf holds a gradient."""
        if self.flag is None:
            self.flag = np.zeros(1, np.uint8)
        return self.flag

    def has_grad(self):
        """Whether there is a gradient now; a recording notes that it relied on the answer."""
        if state.recording is not None and self.is_leaf:
            state.recording.rely_on_flag(self)
        return self.flag is not None and self.flag[0] == 1

    # reading values

    def numpy(self):
        """The values as an array that shares the memory."""
        self.check_readable("numpy()")
        return self.array

    def check_readable(self, what, instead="return the tensor from the step and read it outside"):
        """RuntimeError if a recording would bake a value that changes from step to step; says what to do `instead`."""
        if state.recording is None:
            return
        if self.recording is state.recording or self._requires_grad:
            raise RuntimeError(
                f"{what} at {user_line()}: the value changes from step to step, and a recorded step would keep "
                f"this one for ever; {instead}"
            )
        state.recording.read.add(self)

    def __array__(self, dtype=None, copy=None):
        self.check_readable("conversion to NumPy")
        array = self.array.copy() if copy else self.array
        return array if dtype is None else array.astype(dtype, copy=False)

    def item(self):
        """The value of a tensor with one element as a Python number."""
        self.check_readable("item()")
        if self.array.size != 1:
            raise ValueError(f"item(): only a tensor with one element has one value, got shape {self.shape}")
        return self.array.item()

    def tolist(self):
        """The values as nested lists."""
        self.check_readable("tolist()")
        return self.array.tolist()

    def __float__(self):
        self.check_readable("float()")
        return float(self.item())

    def __int__(self):
        self.check_readable("int()")
        return int(self.item())

    def __index__(self):
        if self.dtype in FLOATS:
            raise TypeError(f"only an integer tensor can be an index, got dtype {self.dtype}")
        return int(self)

    def __bool__(self):
        self.check_readable("a Python branch on a tensor")
        if self.array.size != 1:
            raise ValueError(f"bool(): a tensor of shape {self.shape} has no single truth value; use any() or all()")
        return bool(self.array.item())

    def __len__(self):
        if not self.ndim:
            raise TypeError("len(): a 0-d tensor has no length")
        return self.shape[0]


class Edge:
    """What the graph knows of a tensor that a node made: all but its values, which go when nobody has saved them.

    Attributes
    ----------
    node : Node
    shape, dtype
        Of the tensor.
    buffer : ndarray or None
        Gradient, from the first contribution until the node's backward takes it.
    """

    __slots__ = ("__weakref__", "buffer", "dtype", "node", "shape")
    requires_grad, is_leaf = True, False

    def __init__(self, node, shape, dtype):
        self.node, self.shape, self.dtype, self.buffer = node, shape, dtype, None

    def gradient_buffer(self):
        """Memory for the gradient."""
        if self.buffer is None:
            self.buffer = memory.empty(self.shape, self.dtype)
        return self.buffer


def as_tensor(value, dtype=None):
    """A tensor of `value`; tensors and arrays of a fitting layout are shared, the rest is copied.

    Parameters
    ----------
    value : Tensor, ndarray, number or nested sequence
        Python floats become float32, integers int64.
    dtype : dtype, optional
        Wanted dtype.
    """
    if isinstance(value, Tensor):
        if dtype is not None and value.dtype != dtype:
            raise TypeError(f"as_tensor: got a {value.dtype} tensor, expected {dtype}")
        return value
    if state.recording is not None and isinstance(value, (list, tuple)):
        for element in value:
            if isinstance(element, Tensor):
                element.check_readable("conversion to NumPy")
    return Tensor.public(as_array(value, dtype))


def as_array(value, dtype=None):
    """A contiguous array of one of the engine's dtypes with the values of `value`; that of a tensor is shared."""
    if isinstance(value, Tensor):
        if dtype is None or value.dtype == dtype:
            return value.array
        value.check_readable(f"conversion to {np.dtype(dtype)}")
        value = value.array
    try:
        array = np.asarray(value)
    except ValueError:
        parts = ", ".join(type(part).__name__ for part in value)
        raise ValueError(
            f"got a {type(value).__name__} of {parts}, whose shapes differ, expected a tensor or numbers of one shape; "
            "of what a recurrent or an attention layer returns, the first is the output"
        ) from None
    if dtype is None:
        dtype = canonical_dtype(array, value)
    return np.require(array, dtype, ["C", "ALIGNED"]) if array.ndim else np.array(array, dtype)


def canonical_dtype(array, value):
    """The engine's dtype for what the user gave."""
    if array.dtype.newbyteorder("=") in DTYPES:
        typed = isinstance(value, (np.ndarray, np.generic)) or array.dtype.kind != "f"
        return array.dtype.newbyteorder("=") if typed else np.dtype(np.float32)
    if array.dtype.kind in "iu":
        return np.dtype(np.int64)
    raise TypeError(f"tensor: got dtype {array.dtype}, expected float32, float64, an integer type or bool")
