"""Joining tensors, and cutting them into pieces."""

import numpy as np

from minidl.engine import Node, as_tensor
from minidl.functional._shapes import position
from minidl.functional._strided import copy_view
from minidl.functional.shape import View, unsqueeze
from minidl.kernels.elementwise import fill


class Cat(Node):
    """piece_i(y) = x_i;  dx_i = piece_i(dy)."""

    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, *tensors):
        shape = list(tensors[0].shape)
        shape[self.dim] = sum(x.shape[self.dim] for x in tensors)
        y = self.new(shape)
        self.ends = np.cumsum([x.shape[self.dim] for x in tensors])[:-1]
        for x, piece in zip(tensors, np.split(y.array, self.ends, self.dim), strict=True):
            copy_view(self, y.array, piece, x.array, x.array)
        return y

    def backward(self, dy):
        for i, piece in enumerate(np.split(dy, self.ends, self.dim)):
            dx = self.grad(i)
            if dx is not None:
                copy_view(self, dx, dx, dy, piece)


def cat(tensors, dim=0):
    """The tensors one after the other along `dim`.

    Parameters
    ----------
    tensors : sequence of Tensor
        Of one dtype, and of one shape but for the size of `dim`.
    dim : int
    """
    tensors = [as_tensor(x) for x in tensors]
    if not tensors:
        raise ValueError("cat: got no tensors, expected at least one")
    first = tensors[0]
    if not first.ndim:
        raise ValueError("cat: tensor 0 is 0-d, which has no dimension to join along; use stack")
    dim = position("cat", dim, first.ndim)
    for i, x in enumerate(tensors):
        if x.ndim != first.ndim or _without(x.shape, dim) != _without(first.shape, dim):
            raise ValueError(f"cat: tensor {i} has shape {x.shape}, expected {first.shape} but for dim {dim}")
        if x.dtype != first.dtype:
            raise TypeError(f"cat: tensor {i} is {x.dtype}, but tensor 0 is {first.dtype}; expected one dtype")
    return Cat(dim).apply(*tensors)


def stack(tensors, dim=0):
    """The tensors, all of one shape, side by side along a new dimension `dim`."""
    tensors = [as_tensor(x) for x in tensors]
    for i, x in enumerate(tensors):
        if x.shape != tensors[0].shape:
            raise ValueError(f"stack: tensor {i} has shape {x.shape}, expected {tensors[0].shape}")
    return cat([unsqueeze(x, dim) for x in tensors], dim)


class Split(Node):
    """y_i = piece_i(x);  piece_i(dx) = dy_i. The pieces cover x."""

    def __init__(self, pieces):
        super().__init__()
        self.pieces = pieces

    def forward(self, x):
        return tuple(self.piece(x.array, view) for view in self.pieces(x.array))

    def piece(self, source, view):
        """A tensor with a copy of `view`."""
        y = self.new(view.shape)
        copy_view(self, y.array, y.array, source, view)
        return y

    def backward(self, *gradients):
        dx = self.grad()
        if not gradients:
            self.call(fill, [dx], [], [dx.size], [0.0])
        for dy, view in zip(gradients, self.pieces(dx), strict=True):
            copy_view(self, dx, view, dy, dy)


def split(tensor, split_size_or_sections, dim=0):
    """Pieces of the size given, the last one perhaps smaller, or of the sizes given in a list.

    Returns
    -------
    tuple of Tensor
    """
    tensor, sizes = as_tensor(tensor), split_size_or_sections
    dim = _real_position("split", dim, tensor)
    total = tensor.shape[dim]
    if isinstance(sizes, int):
        if sizes <= 0:
            raise ValueError(f"split: split_size: got {sizes}, expected at least 1")
        ends = list(range(sizes, total, sizes))
    else:
        sizes = list(sizes)
        if not sizes or min(sizes) < 0 or sum(sizes) != total:
            raise ValueError(f"split: sections: got {sizes}, expected sizes >= 0 with the sum {total} (dim {dim})")
        ends = list(np.cumsum(sizes)[:-1])
    return Split(lambda array: np.split(array, ends, dim)).apply(tensor)


def chunk(input, chunks, dim=0):
    """At most `chunks` pieces of equal size, the last one perhaps smaller."""
    input = as_tensor(input)
    if chunks < 1:
        raise ValueError(f"chunk: chunks: got {chunks}, expected at least 1")
    size = input.shape[_real_position("chunk", dim, input)]
    return split(input, max(-(-size // chunks), 1), dim)


def unbind(input, dim=0):
    """The slices along `dim`, without that dimension."""
    input = as_tensor(input)
    dim = _real_position("unbind", dim, input)
    return Split(lambda array: list(np.moveaxis(array, dim, 0))).apply(input)


class Narrow(View):
    """y[i] = x[start + i];  dx = 0, then dx[start + i] = dy[i]."""

    @staticmethod
    def view(array, dim, start, length):
        return array[(slice(None),) * dim + (slice(start, start + length),)]


def narrow(input, dim, start, length):
    """`length` elements along `dim`, beginning with `start`."""
    input = as_tensor(input)
    dim = _real_position("narrow", dim, input)
    size = input.shape[dim]
    begin = start + size if start < 0 else start
    if not (begin >= 0 and length >= 0 and begin + length <= size):
        raise IndexError(f"narrow: got start {start} and length {length}, expected a part of dim {dim} of size {size}")
    return Narrow(dim, begin, length).apply(input)


def _without(shape, dim):
    return shape[:dim] + shape[dim + 1 :]


def _real_position(name, dim, tensor):
    if not tensor.ndim:
        raise ValueError(f"{name}: a 0-d tensor has no dimension to cut")
    return position(name, dim, tensor.ndim)
