"""New tensors: zeros, ones, ranges, random numbers.

All are calls, so a recorded step makes them anew at every replay: buffers start from zero again, and random numbers
are fresh draws from the counter that `manual_seed` sets.
"""

import math

import numpy as np

from minidl.engine import Caller, as_tensor, generator, memory, state
from minidl.engine.tensor import DTYPES
from minidl.kernels import random as K
from minidl.kernels.elementwise import copy, fill
from minidl.tensor import Tensor


class Creation(Caller):
    """One new tensor."""

    def __init__(self, name, shape, dtype, requires_grad=False):
        super().__init__()
        self.function = name
        dtype = np.dtype(np.float32 if dtype is None else dtype)
        if dtype not in DTYPES:
            raise TypeError(f"{name}: dtype: got {dtype}, expected float32, float64, int64 or bool")
        if any(size < 0 for size in shape):
            raise ValueError(f"{name}: size: got {shape}, expected sizes >= 0")
        allocate = memory.allocate if name == "empty" else memory.empty  # Python may write an empty one
        self.result = Tensor(allocate(shape, dtype), requires_grad)

    name = property(lambda self: self.function)
    named_by = ("path", "function")

    def written(self, kernel, inputs=(), sizes=(), scalars=(), others=()):
        """The tensor after a call that writes it, and perhaps `others`."""
        result = self.result
        self.call(kernel, [result, *others], inputs, [result.array.size, *sizes], scalars)
        result.recording = state.recording
        return result

    def filled(self, value):
        """The tensor with `value` everywhere."""
        return self.written(fill, scalars=[value])

    def holding(self, array):
        """The tensor with the values of `array`."""
        return self.written(copy, [np.ascontiguousarray(array, self.result.dtype)])

    def drawn(self, kernel, scalars, sizes=()):
        """The tensor with random numbers."""
        return self.written(kernel, [], sizes, scalars, [generator.counter])


def empty(*size, dtype=None, requires_grad=False):
    """A tensor of any values; write before you read."""
    return Creation("empty", shape_of(size), dtype, requires_grad).result


def zeros(*size, dtype=None, requires_grad=False):
    """A tensor of zeros. `size`: the shape, as numbers or as one tuple."""
    return Creation("zeros", shape_of(size), dtype, requires_grad).filled(0)


def ones(*size, dtype=None, requires_grad=False):
    """A tensor of ones. `size`: the shape, as numbers or as one tuple."""
    return Creation("ones", shape_of(size), dtype, requires_grad).filled(1)


def full(size, fill_value, dtype=None, requires_grad=False):
    """A tensor of the shape `size` with `fill_value` everywhere, whose type gives the default dtype."""
    if dtype is None:
        dtype = np.bool_ if isinstance(fill_value, bool) else np.int64 if isinstance(fill_value, int) else np.float32
    return Creation("full", shape_of((size,)), dtype, requires_grad).filled(fill_value)


def eye(n, m=None, dtype=None, requires_grad=False):
    """Ones on the diagonal of an (n, m) matrix, zeros elsewhere; m is n by default."""
    shape = (n, n if m is None else m)
    return Creation("eye", shape, dtype, requires_grad).holding(np.eye(*shape))


def arange(start, end=None, step=1, dtype=None, requires_grad=False):
    """start, start + step, ... below `end`; with one argument from 0. int64, or float32 if an argument is a float."""
    start, end = (0, start) if end is None else (start, end)
    if step == 0 or (end - start) / step < 0:
        raise ValueError(f"arange: step {step} does not lead from {start} to {end}")
    if dtype is None:
        floats = any(isinstance(number, (float, np.floating)) for number in (start, end, step))
        dtype = np.float32 if floats else np.int64
    count = math.ceil((end - start) / step)
    return Creation("arange", (count,), dtype, requires_grad).holding(start + np.arange(count) * step)


def linspace(start, end, steps, dtype=None, requires_grad=False):
    """`steps` evenly spaced numbers from `start` to `end`, both included."""
    return Creation("linspace", (steps,), dtype, requires_grad).holding(np.linspace(start, end, steps))


def rand(*size, dtype=None, requires_grad=False):
    """Uniform random numbers in [0, 1)."""
    return Creation("rand", shape_of(size), dtype, requires_grad).drawn(K.uniform, [0, 1])


def randn(*size, dtype=None, requires_grad=False):
    """Normal random numbers with mean 0 and standard deviation 1."""
    return Creation("randn", shape_of(size), dtype, requires_grad).drawn(K.normal, [0, 1])


def randint(low, high=None, size=None):
    """Random int64 numbers in [low, high); `low` may be left out, as in ``randint(10, (3,))``."""
    if size is None:
        low, high, size = 0, low, high
    if not 0 < high - low < 2**32:
        raise ValueError(f"randint: got low {low} and high {high}, expected low < high < low + 2**32")
    return Creation("randint", shape_of((size,)), np.int64).drawn(K.integers, [], [low, high - low])


def normal(mean=0.0, std=1.0, size=(), dtype=None):
    """Normal random numbers with the given mean and standard deviation."""
    if not std >= 0:
        raise ValueError(f"normal: std: got {std}, expected std >= 0")
    return Creation("normal", shape_of((size,)), dtype).drawn(K.normal, [mean, std])


def empty_like(input, dtype=None, requires_grad=False):
    """`empty` of the shape and dtype of `input`."""
    input = as_tensor(input)
    return empty(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def zeros_like(input, dtype=None, requires_grad=False):
    """`zeros` of the shape and dtype of `input`."""
    input = as_tensor(input)
    return zeros(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def ones_like(input, dtype=None, requires_grad=False):
    """`ones` of the shape and dtype of `input`."""
    input = as_tensor(input)
    return ones(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def full_like(input, fill_value, dtype=None, requires_grad=False):
    """`full` of the shape and dtype of `input`."""
    input = as_tensor(input)
    return full(input.shape, fill_value, dtype or input.dtype, requires_grad)


def rand_like(input, dtype=None, requires_grad=False):
    """`rand` of the shape and dtype of `input`."""
    input = as_tensor(input)
    return rand(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def randn_like(input, dtype=None, requires_grad=False):
    """`randn` of the shape and dtype of `input`."""
    input = as_tensor(input)
    return randn(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def shape_of(size):
    """``f(2, 3)`` and ``f((2, 3))`` are the same shape."""
    if len(size) == 1 and not isinstance(size[0], (int, np.integer)):
        size = size[0]
    return tuple(int(n) for n in size)
