"""Random weights of the size that keeps signals alive."""

import math

import numpy as np

from minidl.nn.init.basic import check, check_matrix, normal_, uniform_of_std

GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
GAINS.update({f"conv{transpose}{n}d": 1.0 for transpose in ("", "_transpose") for n in (1, 2, 3)})


def fans(tensor):
    """How many numbers feed an output, and how many an input feeds.

    Parameters
    ----------
    tensor : Tensor, shape (out, in, *kernel)

    Returns
    -------
    (fan_in, fan_out)
    """
    check_matrix("fans", tensor, more=True)
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
        check("calculate_gain", number, "param", param, "a number")
        return math.sqrt(2 / (1 + slope**2))
    expected = f"leaky_relu, {', '.join(GAINS)}"
    check("calculate_gain", nonlinearity in GAINS, "nonlinearity", nonlinearity, expected)
    return GAINS[nonlinearity]


def xavier_uniform_(tensor, gain=1.0):
    """U(-a, a) with a = gain sqrt(6 / (fan_in + fan_out)): Glorot and Bengio (2010)."""
    return uniform_of_std("xavier_uniform_", tensor, gain * math.sqrt(2 / max(sum(fans(tensor)), 1)))


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
    return uniform_of_std("kaiming_uniform_", tensor, _he_std("kaiming_uniform_", tensor, a, mode, nonlinearity))


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu"):
    """N(0, std^2) with std = gain / sqrt(fan): He et al. (2015). Arguments as in `kaiming_uniform_`."""
    return normal_(tensor, 0.0, _he_std("kaiming_normal_", tensor, a, mode, nonlinearity))


def lecun_normal_(tensor):
    """N(0, 1 / fan_in), for selu networks: Klambauer et al. (2017), after LeCun et al. (1998)."""
    return normal_(tensor, 0.0, math.sqrt(1 / max(fans(tensor)[0], 1)))


def _he_std(function, tensor, a, mode, nonlinearity):
    check(function, mode in ("fan_in", "fan_out"), "mode", mode, "'fan_in' or 'fan_out'")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))
