"""Mean-field theory of wide random networks: how far signals and gradients get."""

import functools
import math
from typing import NamedTuple

import numpy as np

from minidl import functional as F
from minidl.engine import as_array, no_grad

SMALL, LARGE = 1e-12, 1e12  # what counts for the variances 0 and infinity


class MeanField(NamedTuple):
    """A wide network whose weights have variance weight_var / fan_in, after many layers.

    Attributes
    ----------
    weight_var : float
        sigma_w^2, the variance of the weights times the fan-in.
    q : float
        q*: where the variance of the pre-activations comes to rest, starting from 1. May be 0 or inf.
    chi : float
        chi_1: factor per layer of the gradients' variance, and of small differences between inputs. Below 1 gradients
        vanish (the ordered phase), above 1 they explode (the chaotic phase).
    depth : float
        1 / |ln chi_1|, the number of layers over which differences fade by a factor of e; inf where chi is 1.
    """

    weight_var: float
    q: float
    chi: float
    depth: float


def mean_field(activation, weight_std, bias_std=0.0):
    """The mean-field solution for given weights and biases: Poole et al. (2016), Schoenholz et al. (2017).

    Parameters
    ----------
    activation : callable or str
        An elementwise function of arrays or tensors, or its name in `minidl.functional`: tanh, relu, selu, erf, ...
    weight_std : float
        sigma_w: standard deviation of the weights, times sqrt(fan_in).
    bias_std : float
        sigma_b: that of the biases.

    Returns
    -------
    MeanField

    References
    ----------
    Poole et al., "Exponential expressivity in deep neural networks through transient chaos", 2016. Schoenholz et al.,
    "Deep information propagation", 2017.
    """
    function, bias_var = _function("mean_field", activation), _variance("mean_field", "bias_std", bias_std)
    weight_var = _variance("mean_field", "weight_std", weight_std)
    q = _resting_point(lambda q: weight_var * second_moment(function, q) + bias_var)
    chi = weight_var * slope_moment(function, min(max(q, SMALL), LARGE))
    if math.isclose(chi, 1, rel_tol=1e-10):
        return MeanField(weight_var, q, 1.0, math.inf)
    return MeanField(weight_var, q, chi, 1 / abs(math.log(chi)) if chi else 0.0)


def critical(activation, bias_std=0.0):
    """The weights for which gradients neither vanish nor explode: where chi_1 = 1, the edge of chaos.

    Parameters
    ----------
    activation, bias_std
        As for `mean_field`.

    Returns
    -------
    MeanField
        Draw weights with ``normal_(weight, std=sqrt(weight_var / fan_in))`` and biases with ``std=bias_std``. With
        activations that do not saturate (gelu, silu, mish) a variance of `q` stays, but others do not come to it:
        `mean_field` with these numbers then gives another q.

    Raises
    ------
    ValueError
        If there is no such point, as for relu with random biases.

    Examples
    --------
    >>> critical("tanh", bias_std=0.05**0.5)
    MeanField(weight_var=1.7610, q=0.5700, chi=1.0, depth=inf)  # rounded
    """
    function, bias_var = _function("critical", activation), _variance("critical", "bias_std", bias_std)

    def weight_var(q):  # for which the variance q is kept
        return (q - bias_var) / second_moment(function, q)

    def excess(q):
        return weight_var(q) * slope_moment(function, q) - 1

    if not bias_var and abs(_apply(function, np.zeros(1))[0]) < 1e-12:  # a variance of 0 is kept by any weights
        scale_free = abs(excess(1.0)) < 1e-9
        return MeanField(weight_var(SMALL**1.5), float(scale_free), 1.0, math.inf)
    candidates = (bias_var + np.geomspace(1e-12, 1e6, 400)).tolist()
    beyond = next((i for i, q in enumerate(candidates) if excess(q) > 1e-9), 0)
    if not beyond:
        raise ValueError(f"critical: {activation} has no critical point for bias_std {bias_std}: chi_1 stays below 1")
    q = _bisect(excess, candidates[beyond - 1], candidates[beyond])
    return MeanField(weight_var(q), q, 1.0, math.inf)


def second_moment(function, q):
    """E[f(x)^2] for x of N(0, q)."""
    x, weights = _normal_nodes()
    return float(weights @ _apply(function, math.sqrt(q) * x) ** 2)


def slope_moment(function, q):
    """E[f'(x)^2] for x of N(0, q), by central differences."""
    x, weights = _normal_nodes()
    x, step = math.sqrt(q) * x, 1e-4 * math.sqrt(q)  # less than from any node to a kink at 0
    slopes = (_apply(function, x + step) - _apply(function, x - step)) / (2 * step)
    return float(weights @ slopes**2)


@functools.lru_cache(1)
def _normal_nodes():
    """Nodes and weights of integrals over a standard normal variable.

    Gauss and Legendre's for each unit from -10 to 10: Gauss and Hermite's are slow to converge across the kinks that
    activations have at 0, and where a saturating one is nearly a step.
    """
    nodes, weights = np.polynomial.legendre.leggauss(16)
    x = (np.arange(-10, 10)[:, None] + (nodes + 1) / 2).ravel()
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return x, density * np.tile(weights / 2, 20)


def _function(caller, activation):
    """The activation itself; ValueError or TypeError if there is none."""
    function = getattr(F, activation, None) if isinstance(activation, str) else activation
    if function is None:
        raise ValueError(f"{caller}: activation: got {activation!r}, expected a function of minidl.functional")
    if not callable(function):
        raise TypeError(f"{caller}: activation: got {type(activation).__name__}, expected a function or its name")
    return function


def _variance(caller, argument, std):
    if not 0 <= std < math.inf:
        raise ValueError(f"{caller}: {argument}: got {std}, expected a finite number >= 0")
    return float(std) ** 2


def _apply(function, x):
    with no_grad():
        y = as_array(function(x))
    if y.shape != x.shape:
        raise ValueError(f"activation: got an array of shape {y.shape} for one of {x.shape}, expected the same shape")
    return y


def _resting_point(change):
    """Where q -> change(q) -> ... comes to rest, starting from 1."""
    q, rest = 1.0, change(1.0)
    if math.isclose(q, rest, rel_tol=1e-12):
        return q
    up = rest > q
    while (change(q) > q) == up:
        if not SMALL < q < LARGE:
            return math.inf if up else 0.0
        last, q = q, q * (2 if up else 0.5)
    return _bisect(lambda q: q - change(q), min(last, q), max(last, q))


def _bisect(function, low, high):
    """A root of a function that goes from negative to positive."""
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return (low + high) / 2
