"""Indexing: ``t[...]``, gather, index_select."""

import math
import operator

import numpy as np

from minidl.engine import Node, Tensor, as_tensor, memory
from minidl.functional import _backward as B
from minidl.functional._shapes import broadcast_shapes, position
from minidl.functional.join import narrow
from minidl.functional.shape import View, expand, permute, reshape
from minidl.kernels import index as K


class Slice(View):
    """y = x[slices];  dx = 0, then dx[slices] = dy."""

    @staticmethod
    def view(array, slices):
        return array[(*slices, ...)]  # with the dots it is an array even if it has no dimension left


class Indexed(Node):
    """What nodes with integer indices share: one checked, linear index, and the words when it is out of range."""

    first = 0  # dimension of the input that the first index counts
    negative = False  # whether -1 is the last element
    words = "index", "the size of its dimension"  # what users call the index and its limit

    def linear_index(self, x, indices):
        """Positions in the dimensions that the indices count, taken as one."""
        linear = memory.empty(indices[0].shape, np.int64)
        sizes = x.shape[self.first : self.first + len(indices)]
        strides = [math.prod(sizes[d + 1 :]) for d in range(len(sizes))]
        layout = [linear.size, len(sizes), self.negative, *sizes, *strides]
        self.call(K.linear_index, [linear], indices, layout)
        return linear

    def explain_index(self, call):
        _, count, negative, *sizes = call.sizes
        for d, (index, size) in enumerate(zip(call.inputs, sizes, strict=False)):
            low = -size if negative else 0
            wrong = np.argwhere((index < low) | (index >= size))
            if len(wrong):
                at = tuple(wrong[0].tolist())
                name, limit = self.words
                which = f"{name} {d}" if count > 1 else name
                where = list(at) if at else ""
                return f"{which}{where} is {index[at]}, expected {low} <= {name} < {size} ({limit})"
        return super().explain_index(call)


class Take(Indexed):
    """y[o, b, i] = x[o, index[b], i];  dx[o, q, i] = sum of dy[o, b, i] over all b with index[b] = q.

    Several indices, of one shape, count as many dimensions in a row.
    """

    def __init__(self, first, negative):
        super().__init__()
        self.first, self.negative = first, negative

    def forward(self, x, *indices):
        last = self.first + len(indices)
        linear = self.linear_index(x, indices)
        y = self.new(x.shape[: self.first] + linear.shape + x.shape[last:])
        outer, inner = math.prod(x.shape[: self.first]), math.prod(x.shape[last:])
        self.sizes = [outer, math.prod(x.shape[self.first : last]), linear.size, inner]
        self.call(K.take, [y], [x, linear], self.sizes)
        self.linear = linear
        return y

    def backward(self, dy):
        self.call(B.index.take, [self.grad()], [dy, self.linear], self.sizes)


class Gather(Indexed):
    """y[o, l, i] = x[o, index[o, l, i], i];  dx[o, q, i] = sum of dy[o, l, i] over all l with index[o, l, i] = q."""

    def __init__(self, dim, negative):
        super().__init__()
        self.first, self.negative = dim, negative

    def forward(self, x, index):
        y = self.new(index.shape)
        self.linear = self.linear_index(x, [index])
        dim = self.first
        self.sizes = [math.prod(x.shape[:dim]), x.shape[dim], index.shape[dim], math.prod(x.shape[dim + 1 :])]
        self.call(K.gather, [y], [x, self.linear], self.sizes)
        return y

    def backward(self, dy):
        self.call(B.index.gather, [self.grad()], [dy, self.linear], self.sizes)


def gather(input, dim, index):
    """y[i, j, k] = input[index[i, j, k], j, k], here for dim 0.

    Parameters
    ----------
    input : Tensor
    dim : int
    index : int64 Tensor
        Of as many dimensions, and but for `dim` no larger than `input`; 0 <= index < input.shape[dim].

    Returns
    -------
    Tensor of the shape of `index`

    Raises
    ------
    IndexError
        If an index is out of range; names the first.
    """
    input, index = as_tensor(input), as_index("gather", index)
    dim = position("gather", dim, input.ndim)
    if index.ndim != input.ndim:
        raise ValueError(f"gather: index has shape {index.shape}, expected {input.ndim} dimensions as {input.shape}")
    for d, (length, size) in enumerate(zip(index.shape, input.shape, strict=True)):
        if d != dim and length > size:
            raise ValueError(
                f"gather: index has shape {index.shape}, expected at most {size} in dim {d} of {input.shape}"
            )
        if d != dim and length < size:
            input = narrow(input, d, 0, length)
    return _gather(input, dim, index, negative=False)


def take_along_dim(input, indices, dim=None):
    """`gather` with broadcasting, and with negative indices from the end; over the flat input without `dim`."""
    input, index = as_tensor(input), as_index("take_along_dim", indices)
    if dim is None:
        return _gather(reshape(input, -1), 0, reshape(index, -1), negative=True)
    dim = position("take_along_dim", dim, input.ndim)
    if index.ndim != input.ndim:
        raise ValueError(f"take_along_dim: indices has shape {index.shape}, expected {input.ndim} dimensions")
    others = (input.shape[:dim] + (1,) + input.shape[dim + 1 :], index.shape[:dim] + (1,) + index.shape[dim + 1 :])
    shape = broadcast_shapes("take_along_dim", *others)
    input = expand(input, (*shape[:dim], input.shape[dim], *shape[dim + 1 :]))
    index = expand(index, (*shape[:dim], index.shape[dim], *shape[dim + 1 :]))
    return _gather(input, dim, index, negative=True)


def _gather(input, dim, index, negative):
    if not input.ndim:
        return reshape(Gather(0, negative).apply(reshape(input, 1), reshape(index, 1)), ())
    return Gather(dim, negative).apply(input, index)


def index_select(input, dim, index):
    """The slices of `input` along `dim` at the positions `index` (int64, 1-d), 0 <= index < input.shape[dim]."""
    input, index = as_tensor(input), as_index("index_select", index)
    if not input.ndim or index.ndim > 1:
        raise ValueError(f"index_select: got shape {input.shape} and index {index.shape}, expected a 1-d index")
    return Take(position("index_select", dim, input.ndim), negative=False).apply(input, reshape(index, -1))


def getitem(input, index):
    """``input[index]``, a copy: integers, slices, None, Ellipsis, integer arrays and boolean masks, as in PyTorch.

    Integer arrays (tensors, arrays, lists) broadcast against each other. Their dimensions come where they stood if
    they stood side by side, else in front; an integer or a 0-d array among them does not count.

    Raises
    ------
    IndexError
        If an index is out of range, there are too many, or a mask has another shape than what it selects from.
    """
    input = as_tensor(input)
    parts = _complete(index if isinstance(index, tuple) else (index,), input)
    basic, arrays, dims = [], [], []  # arrays[i] counts dimension dims[i] of input[basic]
    dim = 0
    for part in parts:
        if isinstance(part, Tensor):
            arrays.append(part)
            dims.append(dim)
            part = slice(None)
        basic.append(part)
        dim += not isinstance(part, int)
    if any(part is None or part != slice(None) for part in basic):
        try:
            input = Slice(tuple(basic)).apply(input)
        except IndexError as error:
            raise IndexError(f"index: {error} (shape {input.shape})") from None
    for i in range(len(arrays) - 1, -1, -1):
        if not arrays[i].ndim:  # an integer like any other, but one that may change between replays
            input = Take(dims[i], negative=True).apply(input, arrays.pop(i))
            dims = dims[:i] + [d - 1 for d in dims[i + 1 :]]
    if not arrays:
        return input
    shape = broadcast_shapes("index", *(array.shape for array in arrays))
    if dims != list(range(dims[0], dims[0] + len(dims))):
        input = permute(input, dims + [d for d in range(input.ndim) if d not in dims])
        dims[0] = 0
    return Take(dims[0], negative=True).apply(input, *(expand(array, shape) for array in arrays))


def _complete(index, input):
    """The index with all arrays as int64 tensors, masks as their positions, and slices up to the last dimension."""
    parts, counted = [], 0
    for part in index:
        if isinstance(part, (Tensor, np.ndarray, list, tuple, range)):
            part = as_tensor(list(part) if isinstance(part, range) else part)
            if part.dtype == bool:
                parts.append(part)  # replaced below, when it is known which dimensions it covers
                counted += part.ndim
                continue
            if not part.array.size:
                part = as_tensor(part.array.astype(np.int64))  # an empty list has no dtype of its own
            part = as_index("index", part)
        elif part is not None and part is not Ellipsis and not isinstance(part, slice):
            try:
                if isinstance(part, (bool, np.bool_)):
                    raise TypeError
                part = operator.index(part)
            except TypeError:
                raise TypeError(
                    f"index: got {type(part).__name__}, expected integers, slices, None, ..., integer arrays or masks"
                ) from None
        counted += part is not None and part is not Ellipsis
        parts.append(part)
    if counted > input.ndim:
        raise IndexError(f"index: {counted} indices for shape {input.shape}, expected at most {input.ndim}")
    ellipses = [i for i, part in enumerate(parts) if part is Ellipsis]
    if len(ellipses) > 1:
        raise IndexError("index: got more than one '...'")
    at = ellipses[0] if ellipses else len(parts)
    parts[at : at + len(ellipses)] = [slice(None)] * (input.ndim - counted)
    complete, dim = [], 0
    for part in parts:
        if isinstance(part, Tensor) and part.dtype == bool:
            complete += _positions(part, input.shape[dim : dim + part.ndim])
            dim += part.ndim
        else:
            complete.append(part)
            dim += part is not None
    return complete


def _positions(mask, shape):
    """Where the mask is true, as one int64 tensor per dimension."""
    mask.check_readable("indexing with a mask, whose result has a shape that depends on data,")
    if not mask.ndim:
        raise TypeError("index: got a mask without dimensions, expected the shape of what it selects from; use where()")
    if mask.shape != shape:
        raise IndexError(f"index: mask has shape {mask.shape}, expected {shape}")
    return [as_tensor(positions) for positions in mask.array.nonzero()]


def as_index(name, index, argument="index"):
    """An int64 tensor; TypeError for anything else."""
    index = as_tensor(index)
    if index.dtype != np.int64:
        raise TypeError(f"{name}: {argument} is {index.dtype}, expected int64")
    return index
