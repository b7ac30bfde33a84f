"""Normalisation by the root mean square: precision, edges, threads, single gradients, bad input."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn


def data(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("scale", [1e-25, 1, 1e30])
def test_float32_is_as_good_as_float64(scale):
    """Squares of these numbers do not fit into a float32."""
    x = data(3, 5000) * np.float32(scale)
    exact = x.astype("float64")
    expected = exact / np.sqrt((exact**2).mean(1, keepdims=True))
    np.testing.assert_allclose(F.rms_norm(x, 5000, eps=0).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype, eps", [("float32", 2.0**-23), ("float64", 2.0**-52)])
def test_eps_by_default(dtype, eps):
    x = data(2, 4, dtype=dtype) * np.sqrt(np.array(eps, dtype))
    np.testing.assert_array_equal(F.rms_norm(x, 4).numpy(), F.rms_norm(x, 4, eps=eps).numpy())
    assert np.abs(F.rms_norm(x, 4).numpy() - F.rms_norm(x, 4, eps=0).numpy()).max() > 0.01


def test_zeros_stay_zeros_and_have_a_gradient():
    x, v = dl.tensor(np.zeros((2, 3), "float32"), requires_grad=True), data(2, 3)
    y = F.rms_norm(x, 3, eps=0.25)
    y.backward(v)
    np.testing.assert_array_equal(y.numpy(), 0)
    np.testing.assert_array_equal(x.grad.numpy(), 2 * v)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_shows_in_its_row_only(bad):
    x = data(3, 20)
    x[1, 7] = bad
    y = F.rms_norm(x, 20).numpy()
    assert np.isnan(y[1, 7]) and np.isfinite(y[[0, 2]]).all()


def test_threads_do_not_change_bits():
    layer, results = nn.RMSNorm(300), []
    layer.weight.array[...] = data(300)
    for threads in (1, 2, 3):
        dl.set_num_threads(threads)
        x = dl.tensor(data(150, 300), requires_grad=True)
        layer.zero_grad()
        y = layer(x)
        y.backward(data(150, 300, seed=1))
        results.append([y.numpy(), x.grad.numpy(), layer.weight.grad.numpy().copy()])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("needed", [(True, False), (False, True)])
def test_every_choice_of_gradients(needed):
    def gradients(*needed):
        x, weight = (dl.tensor(data(*s), requires_grad=n) for s, n in zip([(6, 4), (4,)], needed, strict=True))
        F.rms_norm(x, 4, weight).backward(data(6, 4, seed=3))
        return [None if tensor.grad is None else tensor.grad.numpy() for tensor in (x, weight)]

    for one, other, wanted in zip(gradients(True, True), gradients(*needed), needed, strict=True):
        assert (other is not None) == wanted
        assert other is None or (one == other).all()


def test_layer():
    x, layer = data(4, 6), nn.RMSNorm(6, eps=0.1)
    layer.weight.array[...] = data(6)
    np.testing.assert_array_equal(layer(x).numpy(), F.rms_norm(x, (6,), layer.weight, 0.1).numpy())
    assert list(nn.RMSNorm((2, 3)).state_dict()) == ["weight"]
    assert list(nn.RMSNorm(3, elementwise_affine=False).state_dict()) == []
    assert nn.RMSNorm(3, dtype="float64").weight.dtype == "float64"


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: nn.RMSNorm(5)(data(4, 6)), ValueError, r"RMSNorm\(\(5,\).* input has shape \(4, 6\), expected"),
        (lambda: F.rms_norm(data(6), (2, 3)), ValueError, r"rms_norm: input has shape \(6,\)"),
        (lambda: F.rms_norm(data(4, 6), 6, data(4)), ValueError, r"rms_norm: weight has shape \(4,\), expected \(6,\)"),
        (lambda: F.rms_norm(data(4, 6), 6, np.ones(6)), TypeError, "rms_norm: input is float32, but weight is float64"),
        (lambda: F.rms_norm(np.ones((2, 3), int), 3), TypeError, "rms_norm: got dtype int64"),
        (lambda: F.rms_norm(data(4, 6), 6, eps=-1.0), ValueError, "rms_norm: eps: got -1.0"),
        (lambda: nn.RMSNorm(()), ValueError, r"RMSNorm: normalized_shape: got \(\)"),
        (lambda: nn.RMSNorm(4, eps=float("nan")), ValueError, "RMSNorm: eps: got nan"),
        (lambda: nn.RMSNorm(4, dtype="int64"), TypeError, "RMSNorm: dtype: got int64"),
    ],
)
def test_bad_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call()
