"""What elementwise operations and reductions know about shapes and dtypes, before any kernel runs."""

import functools
import math

import numpy as np

from minidl.engine import Tensor, as_tensor
from minidl.engine.tensor import FLOATS
from minidl.functional.cast import cast

ORDER = [np.dtype(name) for name in ("bool", "int64", "float32", "float64")]
KINDS = "bif"  # bool, integer, float: a weak operand changes the kind of the result, never the width


@functools.lru_cache(4096)
def broadcast_shapes(name, *shapes):
    """The common shape of some operands; ValueError if there is none."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        listed = ", ".join(map(str, shapes[:-1]))
        raise ValueError(f"{name}: shapes {listed} and {shapes[-1]} do not broadcast") from None


@functools.lru_cache(4096)
def plan(shape, *operands):
    """Sizes for `minidl.kernels.broadcast`: how to walk the buffers of an elementwise operation.

    Parameters
    ----------
    shape : tuple of int
        Shape of the output.
    operands : tuple of (shape, item size)
        Every buffer in the kernel's order, outputs too.

    Returns
    -------
    tuple of int
    """
    aligned = [(1,) * (len(shape) - len(own)) + own for own, _ in operands]
    merged: list[list] = []  # dims as [size, which operands repeat], neighbours with the same repetition in one
    for sizes in zip(shape, *aligned, strict=True):
        if sizes[0] == 1:
            continue
        repeats = [size == 1 for size in sizes[1:]]
        if merged and merged[-1][1] == repeats:
            merged[-1][0] *= sizes[0]
        else:
            merged.append([sizes[0], repeats])
    merged = merged or [[1, [False] * len(operands)]]
    described = []
    for i, (_, itemsize) in enumerate(operands):
        stride, strides = 1, []
        for size, repeats in reversed(merged):
            strides.append(0 if repeats[i] else stride)
            stride *= 1 if repeats[i] else size
        described += [itemsize, *reversed(strides)]
    return (math.prod(shape), len(operands), len(merged), *(size for size, _ in merged), *described)


def plan_of(*arrays):
    """The plan for these buffers, the first of which has the full shape."""
    return plan(arrays[0].shape, *((array.shape, array.itemsize) for array in arrays))


def common_dtype(operands):
    """The dtype of all operands if they are tensors that agree, else None; the usual case, in short."""
    first = getattr(operands[0], "dtype", None)
    return first if all(isinstance(x, Tensor) and x.dtype is first for x in operands) else None


def result_dtype(operands):
    """PyTorch's promotion: tensors decide, 0-d tensors and then Python numbers only where they are of a higher kind."""
    dtype = None
    dimmed = [x.dtype for x in operands if isinstance(x, Tensor) and x.ndim]
    scalar = [x.dtype for x in operands if isinstance(x, Tensor) and not x.ndim]
    numbers = [ORDER[KINDS.index(np.asarray(x).dtype.kind.replace("u", "i"))] for x in operands if is_number(x)]
    for group in (dimmed, scalar, numbers):
        for candidate in [max(group, key=ORDER.index)] if group else []:
            if dtype is None or KINDS.index(candidate.kind) > KINDS.index(dtype.kind):
                dtype = candidate
    return dtype


def is_number(value):
    """Whether `value` is a Python or NumPy number or bool."""
    return isinstance(value, (bool, int, float, np.number, np.bool_))


def promote(*operands, real=False):
    """The operands as tensors of one dtype.

    Parameters
    ----------
    operands : Tensor, array or number
    real : bool
        Turn integers into float32.
    """
    operands = tuple(x if is_number(x) else as_tensor(x) for x in operands)
    dtype = common_dtype(operands) or result_dtype(operands)
    if real and dtype not in FLOATS:
        dtype = np.dtype(np.float32)
    return [as_tensor(np.array(x, dtype)) if is_number(x) else cast(x, dtype) for x in operands]


def real(input):
    """`input` as a float tensor."""
    return promote(input, real=True)[0]


def position(name, dim, ndim):
    """`dim` counted from the front; IndexError if there is no such dimension."""
    if not -max(ndim, 1) <= dim < max(ndim, 1):
        raise IndexError(f"{name}: dim: got {dim}, expected {-max(ndim, 1)} <= dim < {max(ndim, 1)}")
    return dim % max(ndim, 1)


def normalized_dims(name, dim, ndim):
    """`dim` (None, int or tuple, negative counts from the end) as a sorted tuple; None and () mean all."""
    if dim is None or isinstance(dim, (tuple, list)) and not dim:
        return tuple(range(ndim))
    dims = []
    for d in dim if isinstance(dim, (tuple, list)) else (dim,):
        if not isinstance(d, (int, np.integer)) or isinstance(d, bool):
            raise TypeError(f"{name}: dim: got {dim!r}, expected an integer or a tuple of integers")
        dims.append(position(name, int(d), ndim))
    if len(set(dims)) != len(dims):
        raise ValueError(f"{name}: dim: got {dim!r}, a dimension appears twice")
    return tuple(sorted(dims)) if ndim else ()


def reduced_shape(shape, dims, keepdim):
    """Shape after reducing `dims`."""
    if keepdim:
        return tuple(1 if d in dims else size for d, size in enumerate(shape))
    return tuple(size for d, size in enumerate(shape) if d not in dims)


@functools.lru_cache(4096)
def passes(shape, dims):
    """The steps that reduce `dims`: tuples (outer, K, inner, 0), each for the middle of what the last one left."""
    merged: list[list] = []  # [size, reduced], neighbours of a kind in one
    for d, size in enumerate(shape):
        if size == 1:
            continue
        if merged and merged[-1][1] == (d in dims):
            merged[-1][0] *= size
        else:
            merged.append([size, d in dims])
    steps = []
    inner = 1
    for i in range(len(merged) - 1, -1, -1):
        size, reduced = merged[i]
        if reduced:
            steps.append((math.prod(other for other, _ in merged[:i]), size, inner, 0))
        else:
            inner *= size
    return tuple(steps) or ((math.prod(shape), 1, 1, 0),)
