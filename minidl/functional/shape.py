"""Operations that change the shape or the order of a tensor."""

import math

import numpy as np

from minidl.engine import Node, as_tensor
from minidl.functional import _backward as B
from minidl.functional._shapes import position
from minidl.functional._strided import copy_view, merge, scatter_view
from minidl.kernels.elementwise import copy, fill

# Shared memory -------------------------------------------------------------------------------------------------------


class Reshape(Node):
    """y = x, in another shape over the same memory;  dx = dy."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return self.wrap(x.array.reshape(self.shape))

    def backward(self, dy):
        self.call(copy, [self.grad()], [dy], [dy.size])


def reshape(input, shape):
    """The same elements in another shape; shares memory.

    Parameters
    ----------
    input : Tensor, any shape
    shape : int or tuple of int
        Of as many elements; one size may be -1, which means what is left.

    Raises
    ------
    ValueError
        If `input` does not have as many elements as `shape`.
    """
    input, shape = as_tensor(input), (shape,) if isinstance(shape, int) else tuple(int(size) for size in shape)
    known = math.prod(size for size in shape if size != -1)
    unknown = shape.count(-1)
    if unknown > 1 or any(size < -1 for size in shape):
        raise ValueError(f"reshape: shape: got {shape}, expected sizes >= 0 and at most one -1")
    if unknown and known == 0:
        raise ValueError(f"reshape: shape: the -1 in {shape} could be any size; give the size")
    if input.array.size % known if unknown else input.array.size != known:
        raise ValueError(f"reshape: shape {input.shape} has {input.array.size} elements, which do not fill {shape}")
    return Reshape(tuple(input.array.size // known if size == -1 else size for size in shape)).apply(input)


view = reshape


def flatten(input, start_dim=0, end_dim=-1):
    """One dimension instead of those from `start_dim` to `end_dim`, both included; shares memory."""
    input = as_tensor(input)
    first, last = position("flatten", start_dim, input.ndim), position("flatten", end_dim, input.ndim)
    if first > last:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} (shape {input.shape})")
    shape = input.shape
    return reshape(input, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


def squeeze(input, dim=None):
    """Without the dimensions of size 1: all, or only `dim` (int or tuple); shares memory."""
    input = as_tensor(input)
    dims = range(input.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    dims = {position("squeeze", d, input.ndim) for d in dims}
    return Reshape(tuple(size for d, size in enumerate(input.shape) if size != 1 or d not in dims)).apply(input)


def unsqueeze(input, dim):
    """With a dimension of size 1 at `dim`; shares memory."""
    input = as_tensor(input)
    at = position("unsqueeze", dim, input.ndim + 1)
    return Reshape((*input.shape[:at], 1, *input.shape[at:])).apply(input)


# Strided copies ------------------------------------------------------------------------------------------------------


class View(Node):
    """y = view(x), copied;  dx = 0, then view(dx) = dy.

    A subclass says which view of an array it is.
    """

    @staticmethod
    def view(array, *arguments):
        """The view, as NumPy makes it."""
        raise NotImplementedError

    def __init__(self, *arguments):
        super().__init__()
        self.arguments = arguments

    def forward(self, x):
        view = self.view(x.array, *self.arguments)
        y = self.new(view.shape)
        copy_view(self, y.array, y.array, x.array, view)
        return y

    def backward(self, dy):
        dx = self.grad()
        scatter_view(self, dx, self.view(dx, *self.arguments), dy)


class Transpose(View):
    """y[.., j, .., i, ..] = x[.., i, .., j, ..];  dx likewise from dy."""

    view = staticmethod(np.swapaxes)


class Permute(View):
    """y's dimension i is x's dims[i];  dx likewise from dy."""

    view = staticmethod(np.transpose)


class Flip(View):
    """y[i] = x[N - 1 - i];  dx likewise from dy."""

    view = staticmethod(np.flip)


class Expand(View):
    """y[r, k] = x[k] for every r;  dx[k] = sum over r of dy[r, k]."""

    view = staticmethod(np.broadcast_to)

    def backward(self, dy):
        dx = self.grad()
        if not dy.size:
            self.call(fill, [dx], [], [dx.size], [0.0])
            return
        dims = [
            (size, stride // dy.itemsize, spread != 0)
            for size, stride, spread in zip(*merge(dy.shape, dy.strides, self.view(dx, dy.shape).strides), strict=True)
        ]
        kept = [dim[:2] for dim in dims if dim[2]] or [(1, 0)]
        summed = [dim[:2] for dim in dims if not dim[2]] or [(1, 0)]
        layout = [number for dims in (kept, summed) for column in zip(*dims, strict=True) for number in column]
        self.call(B.index.expand, [dx], [dy], [dx.size, dy.size, len(kept), len(summed), *layout])


def transpose(input, dim0, dim1):
    """With the dimensions `dim0` and `dim1` exchanged; a copy."""
    input = as_tensor(input)
    return Transpose(position("transpose", dim0, input.ndim), position("transpose", dim1, input.ndim)).apply(input)


def t(input):
    """The transpose of a matrix; vectors and scalars stay as they are."""
    input = as_tensor(input)
    if input.ndim > 2:
        raise ValueError(f"t: got shape {input.shape}, expected at most 2 dimensions; use transpose or permute")
    return transpose(input, 0, 1) if input.ndim == 2 else input


def permute(input, dims):
    """With the dimensions in the order `dims`; a copy."""
    input = as_tensor(input)
    order = tuple(position("permute", d, input.ndim) for d in dims)
    if sorted(order) != list(range(input.ndim)):
        raise ValueError(f"permute: dims: got {tuple(dims)}, expected every dimension of shape {input.shape} once")
    return Permute(order).apply(input)


def flip(input, dims):
    """With the order of the elements reversed along `dims` (int or tuple)."""
    input = as_tensor(input)
    dims = (dims,) if isinstance(dims, int) else dims
    return Flip(tuple(position("flip", d, input.ndim) for d in dims)).apply(input)


def expand(input, shape):
    """Repeated along the dimensions of size 1 and along new ones in front, up to `shape`; -1 keeps a size."""
    input, shape = as_tensor(input), tuple(shape)
    new = len(shape) - input.ndim
    old = (None,) * new + input.shape
    wanted = tuple(size if want == -1 else want for size, want in zip(old, shape, strict=False))
    fits = all(
        want is not None and want >= 0 and size in (None, 1, want) for size, want in zip(old, wanted, strict=True)
    )
    if new < 0 or not fits:
        raise ValueError(f"expand: shape {input.shape} does not expand to {shape}")
    return Expand(wanted).apply(input) if wanted != input.shape else input


broadcast_to = expand


def repeat(input, sizes):
    """`sizes[d]` copies of `input` one after the other along every dimension d."""
    input, sizes = as_tensor(input), tuple(sizes)
    if len(sizes) < input.ndim or any(size < 0 for size in sizes):
        raise ValueError(
            f"repeat: sizes: got {sizes}, expected {input.ndim} or more sizes >= 0 for shape {input.shape}"
        )
    shape = (1,) * (len(sizes) - input.ndim) + input.shape
    apart = reshape(input, tuple(size for old in shape for size in (1, old)))
    copies = expand(apart, tuple(size for pair in zip(sizes, shape, strict=True) for size in pair))
    return reshape(copies, tuple(count * size for count, size in zip(sizes, shape, strict=True)))


class Clone(Node):
    """y = x;  dx = dy."""

    def forward(self, x):
        y = self.new(x.shape)
        self.call(copy, [y], [x], [x.array.size])
        return y

    def backward(self, dy):
        self.call(copy, [self.grad()], [dy], [dy.size])


def clone(input):
    """A copy in memory of its own, through which gradients flow."""
    return Clone().apply(input)
