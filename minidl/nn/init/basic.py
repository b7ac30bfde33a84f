"""Distributions and constants, and how all values are written."""

import math

import numpy as np

from minidl.engine import Tensor, generator, outside_recordings


def uniform_(tensor, a=0.0, b=1.0):
    """Numbers from U(a, b).

    Parameters
    ----------
    tensor : Tensor
        Changed in place.
    a, b : float
        a <= b.

    Returns
    -------
    `tensor`, as every function of this module does
    """
    check("uniform_", a <= b, "a, b", (a, b), "a <= b")
    return write("uniform_", tensor, lambda shape: generator.numpy.uniform(a, b, shape))


def normal_(tensor, mean=0.0, std=1.0):
    """Numbers from N(mean, std^2); std >= 0."""
    check("normal_", std >= 0, "std", std, "std >= 0")
    return write("normal_", tensor, lambda shape: generator.numpy.normal(mean, std, shape))


def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0):
    """Numbers from N(mean, std^2), those outside [a, b] drawn again; std > 0 and a < b."""
    check("trunc_normal_", std > 0, "std", std, "std > 0")
    check("trunc_normal_", a < b, "a, b", (a, b), "a < b")
    low, high = (a - mean) / std, (b - mean) / std
    return write("trunc_normal_", tensor, lambda shape: mean + std * _truncated(shape, low, high))


def _truncated(shape, low, high):
    """Standard normal numbers within [low, high], by rejection from a uniform distribution."""
    mode = min(max(low, 0.0), high)  # where the density is highest
    low, high = max(low, mode - 9), min(high, mode + 9)  # it is below e^-40 of that farther away
    numbers = np.empty(math.prod(shape))
    missing = np.arange(numbers.size)
    while missing.size:
        x = generator.numpy.uniform(low, high, missing.size)
        accepted = generator.numpy.random(missing.size) <= np.exp((mode * mode - x * x) / 2)
        numbers[missing[accepted]] = x[accepted]
        missing = missing[~accepted]
    return numbers.reshape(shape)


def constant_(tensor, val):
    """`val` everywhere."""
    return write("constant_", tensor, lambda shape: val)


def zeros_(tensor):
    """0 everywhere."""
    return write("zeros_", tensor, lambda shape: 0.0)


def ones_(tensor):
    """1 everywhere."""
    return write("ones_", tensor, lambda shape: 1.0)


def torch_(model):
    """Give every layer below `model` the initial values that PyTorch would; returns the model."""
    for module in model.modules():
        module.reset_parameters_torch()
    return model


def torch_uniform_(tensor, fan):
    """U(-a, a) with a = 1 / sqrt(fan), PyTorch's choice for most weights and biases."""
    return uniform_of_std("torch_uniform_", tensor, 1 / math.sqrt(3 * max(fan, 1)))


# for the functions of this package


def check(function, right, argument, got, wanted):
    """ValueError that names function and argument, unless it is `right`."""
    if not right:
        raise ValueError(f"{function}: {argument}: got {got!r}, expected {wanted}")


def check_tensor(function, tensor):
    """TypeError unless it is a float tensor, ValueError if it is computed from others."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{function}: tensor: got {type(tensor).__name__}, expected Tensor")
    if tensor.dtype.kind != "f":
        raise TypeError(f"{function}: tensor: got dtype {tensor.dtype}, expected a float tensor")
    if tensor.node is not None:
        raise ValueError(f"{function}: tensor: got one that {tensor.node} computed, expected a parameter or a buffer")


def check_matrix(function, tensor, more=False):
    """ValueError unless it has 2 dimensions, or `more`."""
    check_tensor(function, tensor)
    right = tensor.ndim >= 2 if more else tensor.ndim == 2
    check(function, right, "tensor", tensor.shape, f"{'at least ' * more}2 dimensions")


def write(function, tensor, draw):
    """Write what `draw` makes for the shape of `tensor` into it."""
    check_tensor(function, tensor)
    outside_recordings(function)
    tensor.array[...] = draw(tensor.shape)
    return tensor


def uniform_of_std(function, tensor, std):
    """U(-a, a) of a given standard deviation."""
    check(function, std >= 0, "std", std, "std >= 0")
    bound = math.sqrt(3) * std
    return write(function, tensor, lambda shape: generator.numpy.uniform(-bound, bound, shape))
