"""Mean-field theory: published numbers, closed forms, and random networks that are wide."""

import math

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl.nn import init

TANH_BIAS = math.sqrt(0.05)


def test_the_edge_of_chaos_of_tanh():
    """Schoenholz et al. (2017)."""
    found = init.critical("tanh", TANH_BIAS)
    assert found.weight_var == pytest.approx(1.7610, abs=5e-5) and found.q == pytest.approx(0.5700, abs=1e-4)
    assert found.chi == 1 and found.depth == math.inf
    assert init.mean_field("tanh", math.sqrt(found.weight_var), TANH_BIAS).q == pytest.approx(found.q, rel=1e-9)


@pytest.mark.parametrize("weight_var, chi", [(1.3, 0.8802), (2.0, 1.0477), (3.0, 1.2089)])
def test_both_phases_of_tanh(weight_var, chi):
    found = init.mean_field("tanh", math.sqrt(weight_var), TANH_BIAS)
    assert found.chi == pytest.approx(chi, abs=5e-5)
    assert found.depth == pytest.approx(1 / abs(math.log(found.chi)), rel=1e-12)
    assert found.weight_var == pytest.approx(weight_var, rel=1e-12)


def test_the_point_that_trained_10000_layers():
    """Xiao et al. (2018): sigma_w^2 = 1.05, sigma_b^2 = 2.01e-5."""
    assert init.critical("tanh", math.sqrt(2.01e-5)).weight_var == pytest.approx(1.05, abs=1e-4)


@pytest.mark.parametrize(
    "activation, weight_var, q",
    [
        ("relu", 2, 1),  # He et al. (2015): every variance is kept
        (lambda x: F.leaky_relu(x, 0.5), 2 / 1.25, 1),
        (lambda x: x, 1, 1),
        ("tanh", 1, 0),
        (np.tanh, 1, 0),
        ("erf", math.pi / 4, 0),
        ("gelu", 4, 0),
        ("selu", 2 / (1.0507009873554805**2 * (1 + 1.6732632423543772**2)), 0),
    ],
)
def test_without_biases(activation, weight_var, q):
    """Where f(0) = 0, the critical variance is 1 / E[f'(0)^2], or any for a function without a scale."""
    found = init.critical(activation)
    assert found.weight_var == pytest.approx(weight_var, rel=1e-5) and found.q == q and found.depth == math.inf


def arcsine(weight_var, bias_var):
    """q* and chi_1 of erf, by the integrals of Williams (1997), in fixed-point iteration."""
    q = 1.0
    for _ in range(10000):
        q = weight_var * 2 / math.pi * math.asin(2 * q / (1 + 2 * q)) + bias_var
    return q, weight_var * 4 / math.pi / math.sqrt(1 + 4 * q)


@pytest.mark.parametrize("weight_var, bias_var", [(0.5, 0.05), (1.376, 0.05), (3, 0), (40, 0.3)])
def test_erf_has_closed_forms(weight_var, bias_var):
    q, chi = arcsine(weight_var, bias_var)
    found = init.mean_field("erf", math.sqrt(weight_var), math.sqrt(bias_var))
    assert found.q == pytest.approx(q, rel=1e-9) and found.chi == pytest.approx(chi, rel=1e-6)
    edge = init.critical("erf", math.sqrt(0.05))
    assert arcsine(edge.weight_var, 0.05) == pytest.approx((edge.q, 1), rel=1e-6)


@pytest.mark.parametrize(
    "activation, weight_var, q, chi",
    [
        ("relu", 1, 0, 0.5),
        ("relu", 2, 1, 1),
        ("relu", 3, math.inf, 1.5),
        ("selu", 1, 1, 1.0716),  # Klambauer et al. (2017): variance 1 is a fixed point
        ("tanh", 0.25, 0, 0.25),
        ("tanh", 0, 0, 0),
    ],
)
def test_where_variances_go(activation, weight_var, q, chi):
    found = init.mean_field(activation, math.sqrt(weight_var))
    assert found.q == pytest.approx(q, rel=1e-6) and found.chi == pytest.approx(chi, rel=1e-4)


def test_biases_of_relu_add_up_without_end():
    assert init.mean_field("relu", math.sqrt(2), 0.1).q == math.inf
    assert init.mean_field("relu", 1, 1).q == pytest.approx(2)  # q = q / 2 + 1


@pytest.mark.parametrize("name, gain", [("sigmoid", 4.0), ("tanh", 1.7), ("gelu", 1.2), ("selu", 1.0)])
def test_wide_random_networks_agree(name, gain):
    """Variance of pre-activations, and gradients' growth per layer, in 12 layers of 500."""
    function, found = getattr(F, name), init.mean_field(name, gain, 0.3)
    rng, width, layers = np.random.default_rng(0), 500, 12
    x = dl.tensor(rng.standard_normal((30, width)))
    shifts, variances = [], []
    for _ in range(layers):
        weight = dl.tensor(rng.standard_normal((width, width)) * gain / math.sqrt(width))
        shift = dl.tensor(np.zeros((30, width)), requires_grad=True)  # whose gradient is that of the pre-activations
        before = F.linear(x, weight, dl.tensor(rng.standard_normal(width) * 0.3)) + shift
        variances.append((before.numpy() ** 2).mean())
        shifts.append(shift)
        x = function(before)
    (x * rng.standard_normal(x.shape)).sum().backward()
    norms = [(shift.grad.numpy() ** 2).mean() for shift in shifts]
    assert np.mean(variances[-4:]) == pytest.approx(found.q, rel=0.1)
    chi = (norms[4] / norms[-1]) ** (1 / (layers - 5))  # where the variance has come to rest
    assert chi == pytest.approx(found.chi, rel=0.05)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: init.critical("relu", 0.1), ValueError, "critical: relu has no critical point for bias_std 0.1"),
        (lambda: init.critical("tanhh"), ValueError, "critical: activation: got 'tanhh', expected a function"),
        (lambda: init.critical(3), TypeError, "critical: activation: got int, expected a function"),
        (lambda: init.critical("tanh", -1), ValueError, "critical: bias_std: got -1"),
        (lambda: init.mean_field("tanh", math.nan), ValueError, "mean_field: weight_std: got nan"),
        (lambda: init.mean_field(np.sum, 1), ValueError, r"activation: got an array of shape \(\) for one of"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
