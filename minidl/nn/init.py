"""Initial values, written in place; all draws come from the generator that `manual_seed` seeds."""

import math

import numpy as np

from minidl.engine import Tensor, generator, outside_recordings

GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
GAINS.update({f"conv{transpose}{n}d": 1.0 for transpose in ("", "_transpose") for n in (1, 2, 3)})


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
    _check("uniform_", a <= b, "a, b", (a, b), "a <= b")
    return _write("uniform_", tensor, lambda shape: generator.numpy.uniform(a, b, shape))


def normal_(tensor, mean=0.0, std=1.0):
    """Numbers from N(mean, std^2); std >= 0."""
    _check("normal_", std >= 0, "std", std, "std >= 0")
    return _write("normal_", tensor, lambda shape: generator.numpy.normal(mean, std, shape))


def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0):
    """Numbers from N(mean, std^2), those outside [a, b] drawn again; std > 0 and a < b."""
    _check("trunc_normal_", std > 0, "std", std, "std > 0")
    _check("trunc_normal_", a < b, "a, b", (a, b), "a < b")
    low, high = (a - mean) / std, (b - mean) / std
    return _write("trunc_normal_", tensor, lambda shape: mean + std * _truncated(shape, low, high))


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
    return _write("constant_", tensor, lambda shape: val)


def zeros_(tensor):
    """0 everywhere."""
    return _write("zeros_", tensor, lambda shape: 0.0)


def ones_(tensor):
    """1 everywhere."""
    return _write("ones_", tensor, lambda shape: 1.0)


def eye_(tensor):
    """The identity matrix, for a tensor of 2 dimensions."""
    _check_matrix("eye_", tensor)
    return _write("eye_", tensor, lambda shape: np.eye(*shape))


def fans(tensor):
    """How many numbers feed an output, and how many an input feeds.

    Parameters
    ----------
    tensor : Tensor, shape (out, in, *kernel)

    Returns
    -------
    (fan_in, fan_out)
    """
    _check_matrix("fans", tensor, more=True)
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def calculate_gain(nonlinearity, param=None):
    """Factor by which weights must be larger for signals to keep their size through a nonlinearity.

    Parameters
    ----------
    nonlinearity : str
        linear, conv1d (2d, 3d, conv_transpose1d ...), sigmoid, tanh, relu, leaky_relu or selu.
    param : float, optional
        The negative slope of leaky_relu, 0.01 by default.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        number = isinstance(slope, (int, float, np.number)) and not isinstance(slope, bool)
        _check("calculate_gain", number, "param", param, "a number")
        return math.sqrt(2 / (1 + slope**2))
    expected = f"leaky_relu, {', '.join(GAINS)}"
    _check("calculate_gain", nonlinearity in GAINS, "nonlinearity", nonlinearity, expected)
    return GAINS[nonlinearity]


def xavier_uniform_(tensor, gain=1.0):
    """U(-a, a) with a = gain sqrt(6 / (fan_in + fan_out)): Glorot and Bengio (2010)."""
    return _uniform("xavier_uniform_", tensor, gain * math.sqrt(2 / max(sum(fans(tensor)), 1)))


def xavier_normal_(tensor, gain=1.0):
    """N(0, std^2) with std = gain sqrt(2 / (fan_in + fan_out)): Glorot and Bengio (2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / max(sum(fans(tensor)), 1)))


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu"):
    """U(-b, b) with b = gain sqrt(3 / fan): He et al. (2015).

    Parameters
    ----------
    tensor : Tensor, shape (out, in, *kernel)
    a : float
        Negative slope of leaky_relu.
    mode : {"fan_in", "fan_out"}
        What keeps its size: the signal forward or the gradient backward.
    nonlinearity : str
        As in `calculate_gain`.
    """
    return _uniform("kaiming_uniform_", tensor, _he_std("kaiming_uniform_", tensor, a, mode, nonlinearity))


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu"):
    """N(0, std^2) with std = gain / sqrt(fan): He et al. (2015). Arguments as in `kaiming_uniform_`."""
    return normal_(tensor, 0.0, _he_std("kaiming_normal_", tensor, a, mode, nonlinearity))


def lecun_normal_(tensor):
    """N(0, 1 / fan_in), for selu networks: Klambauer et al. (2017), after LeCun et al. (1998)."""
    return normal_(tensor, 0.0, math.sqrt(1 / max(fans(tensor)[0], 1)))


def _he_std(function, tensor, a, mode, nonlinearity):
    _check(function, mode in ("fan_in", "fan_out"), "mode", mode, "'fan_in' or 'fan_out'")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def _uniform(function, tensor, std):
    """U(-a, a) of a given standard deviation."""
    _check(function, std >= 0, "std", std, "std >= 0")
    bound = math.sqrt(3) * std
    return _write(function, tensor, lambda shape: generator.numpy.uniform(-bound, bound, shape))


def orthogonal_(tensor, gain=1.0):
    """A random orthogonal matrix, uniform among all, times `gain`: Saxe et al. (2014).

    Parameters
    ----------
    tensor : Tensor, shape (rows, ...)
        At least 2 dimensions, those behind the first taken as one. The smaller side is the orthonormal one.
    gain : float
    """
    _check_matrix("orthogonal_", tensor, more=True)

    def draw(shape):
        rows, columns = shape[0], math.prod(shape[1:])
        q, r = np.linalg.qr(generator.numpy.standard_normal((max(rows, columns), min(rows, columns))))
        q *= np.sign(np.diag(r))  # otherwise the signs would depend on LAPACK: Mezzadri (2007)
        return gain * (q if rows >= columns else q.T).reshape(shape)

    return _write("orthogonal_", tensor, draw)


def sparse_(tensor, sparsity, std=0.01):
    """N(0, std^2) with a part of every column set to 0: Martens (2010).

    Parameters
    ----------
    tensor : Tensor, shape (rows, columns)
    sparsity : float
        Share of zeros in each column, rounded up; 0 <= sparsity <= 1.
    std : float
    """
    _check_matrix("sparse_", tensor)
    _check("sparse_", 0 <= sparsity <= 1, "sparsity", sparsity, "0 <= sparsity <= 1")
    _check("sparse_", std >= 0, "std", std, "std >= 0")

    def draw(shape):
        values = generator.numpy.normal(0.0, std, shape)
        ranks = generator.numpy.random(shape).argsort(axis=0)
        values[ranks < math.ceil(sparsity * shape[0])] = 0
        return values

    return _write("sparse_", tensor, draw)


def torch_(model):
    """Give every layer below `model` the initial values that PyTorch would; returns the model."""
    for module in model.modules():
        module.reset_parameters_torch()
    return model


def torch_uniform_(tensor, fan):
    """U(-a, a) with a = 1 / sqrt(fan), PyTorch's choice for most weights and biases."""
    return _uniform("torch_uniform_", tensor, 1 / math.sqrt(3 * max(fan, 1)))


def _check(function, right, argument, got, wanted):
    if not right:
        raise ValueError(f"{function}: {argument}: got {got!r}, expected {wanted}")


def _check_tensor(function, tensor):
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{function}: tensor: got {type(tensor).__name__}, expected Tensor")
    if tensor.dtype.kind != "f":
        raise TypeError(f"{function}: tensor: got dtype {tensor.dtype}, expected a float tensor")


def _check_matrix(function, tensor, more=False):
    _check_tensor(function, tensor)
    right = tensor.ndim >= 2 if more else tensor.ndim == 2
    _check(function, right, "tensor", tensor.shape, f"{'at least ' * more}2 dimensions")


def _write(function, tensor, draw):
    """Write what `draw` makes for the shape of `tensor` into it."""
    _check_tensor(function, tensor)
    outside_recordings(function)
    tensor.array[...] = draw(tensor.shape)
    return tensor
