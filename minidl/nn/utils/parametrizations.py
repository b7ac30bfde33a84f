"""Weights that keep a norm, a largest singular value or a scale while they are trained."""

import math

import numpy as np

from minidl import functional as F
from minidl.engine import generator, memory
from minidl.functional import weight_norm as W
from minidl.functional.normalization import check_eps
from minidl.nn.module import Module
from minidl.nn.utils.parametrize import is_parametrized, parameter_of, register_parametrization
from minidl.nn.values import count
from minidl.tensor import Tensor

FIRST_ITERATIONS = 15  # of the power method, before training begins


class _WeightNorm(Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, weight_g, weight_v):
        return W.weight_norm(weight_v, weight_g, self.dim)

    def right_inverse(self, weight):
        """The norms, and the weight itself."""
        shape = W.norm_shape("weight_norm", weight, self.dim)
        others = None if shape == () else tuple(d for d in range(weight.ndim) if d != self.dim % weight.ndim)
        squares = weight.array.astype(np.float64) ** 2
        return np.sqrt(squares.sum(others)).reshape(shape).astype(weight.dtype), weight


class _SpectralNorm(Module):
    def __init__(self, weight, n_power_iterations, dim, eps):
        super().__init__()
        self.n_power_iterations, self.eps = n_power_iterations, eps
        outer, C, inner = W.units("spectral_norm", weight, dim)
        self.dim = dim % weight.ndim
        if weight.ndim > 1:
            self.register_buffer("_u", _unit_vector(C, weight.dtype))
            self.register_buffer("_v", _unit_vector(outer * inner, weight.dtype))
            W.PowerIteration().run(weight, self._u, self._v, (outer, C, inner), FIRST_ITERATIONS, eps)

    def forward(self, weight):
        if weight.ndim == 1:  # a matrix of one column
            return weight / F.maximum(F.norm(weight), self.eps)
        iterations = self.n_power_iterations if self.training else 0
        return W.spectral_norm(weight, self._u, self._v, self.dim, iterations, self.eps)


class _WeightStandardization(Module):
    def __init__(self, eps):
        super().__init__()
        self.eps = eps

    def forward(self, weight):
        rows = F.flatten(weight, 1)
        return F.reshape(F.layer_norm(rows, rows.shape[1], eps=self.eps), weight.shape)


def weight_norm(module, name="weight", dim=0):
    """Let a parameter of `module` be g v / |v|: its norms and its direction are trained apart.

    Of the parameter become two, ``parametrizations.NAME.original0`` (g) and ``original1`` (v); optimizers are made
    afterwards.

    Parameters
    ----------
    module : Module
    name : str
    dim : int or None
        Dimension that keeps a norm for each index: 0, the outputs of `Linear` and convolutions. None: one norm of all,
        which is also PyTorch's meaning of -1.

    Returns
    -------
    `module`

    Raises
    ------
    ValueError
        If there is no such parameter, or it is parametrized already.
    IndexError
        If there is no such dimension.

    References
    ----------
    Salimans and Kingma, "Weight normalization: A simple reparameterization to accelerate training of deep neural
    networks", 2016.
    """
    function = "weight_norm"
    W.norm_shape(f"{function}: {type(module).__name__}", _check(function, module, name, Module), dim)
    return register_parametrization(module, name, _WeightNorm(dim))


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """Divide a parameter of `module` by its largest singular value, that of a matrix with a row for each output.

    The singular vectors are buffers, ``parametrizations.NAME.0._u`` and ``_v``; in training each use of the parameter
    improves them by power iteration, in recorded steps at every replay. For a vector it is a division by its norm.

    Parameters
    ----------
    module : Module
    name : str
    n_power_iterations : int
        How often they are improved at each use.
    eps : float
        Least norm that vectors are divided by.
    dim : int, optional
        Dimension of the outputs: by default 0, and 1 for transposed convolutions.

    Returns
    -------
    `module`

    Raises
    ------
    ValueError
        If there is no such parameter, or it has a spectral norm already.
    IndexError
        If there is no such dimension.

    References
    ----------
    Miyato et al., "Spectral normalization for generative adversarial networks", 2018.
    """
    function = "spectral_norm"
    weight = _check(function, module, name, _SpectralNorm)
    iterations = count(function, "n_power_iterations", n_power_iterations, low=1)
    if dim is None:
        dim = int(getattr(module, "transposed", False))
    W.check_dim(f"{function}: {type(module).__name__}", weight, dim)
    parametrization = _SpectralNorm(weight, iterations, dim, check_eps(function, eps))
    return register_parametrization(module, name, parametrization)


def weight_standardization(module, name="weight", eps=1e-5):
    """Let the weights of each output of `module` have mean 0 and variance 1: (w - mean) / sqrt(var + eps).

    Parameters
    ----------
    module : Module
        With a weight whose first dimension are its outputs: `Linear`, `Conv1d`, `Conv2d`.
    name : str
    eps : float

    Returns
    -------
    `module`

    Raises
    ------
    ValueError
        If there is no such parameter, it has only 1 dimension, its outputs are not the first, or it is standardized
        already.

    References
    ----------
    Qiao et al., "Micro-batch training with batch-channel normalization and weight standardization", 2019.
    """
    function = "weight_standardization"
    weight = _check(function, module, name, _WeightStandardization)
    if weight.ndim < 2 or getattr(module, "transposed", False):
        what = f"{name!r} of {type(module).__name__}, shape {weight.shape}"
        raise ValueError(f"{function}: got {what}, expected a matrix or kernels whose first dimension are the outputs")
    return register_parametrization(module, name, _WeightStandardization(check_eps(function, eps)))


def _check(function, module, name, kind):
    """The parameter, or what is computed for it; ValueError if a parametrization of this kind does it already."""
    weight = parameter_of(function, module, name)
    if is_parametrized(module, name):
        for present in module.parametrizations[name]:
            if isinstance(present, kind):
                raise ValueError(
                    f"{function}: {name!r} of {type(module).__name__} is parametrized already, by {present!r}"
                )
    return weight


def _unit_vector(size, dtype):
    """A random direction."""
    vector = generator.numpy.standard_normal(size)
    return Tensor(memory.copy((vector / max(math.sqrt((vector**2).sum()), 1e-12)).astype(dtype)))
