"""Clipping: below the threshold, at it, above it, twice, at zero, with Inf and NaN."""

import numpy as np
import pytest

import minidl as dl
from minidl import nn


def parameters(scale=1.0, dtype="float64"):
    rng = np.random.default_rng(0)
    found = []
    for shape in ((300, 100), (7,), ()):
        p = dl.Parameter(np.zeros(shape, dtype))
        p.grad = (scale * rng.standard_normal(shape)).astype(dtype)
        found.append(p)
    return found


def flat(ps):
    return np.concatenate([p.grad.numpy().ravel() for p in ps])


@pytest.mark.parametrize("order", [1, 2, 3, np.inf])
def test_norm_above_the_threshold(order):
    ps = parameters()
    before = flat(ps)
    norm = np.linalg.norm(before, order)
    returned = nn.utils.clip_grad_norm_(ps, norm / 3, norm_type=order)
    assert float(returned) == pytest.approx(norm, rel=1e-12)
    np.testing.assert_allclose(flat(ps), before / 3, rtol=1e-6)
    again = flat(ps)
    nn.utils.clip_grad_norm_(ps, norm / 3, norm_type=order)
    np.testing.assert_allclose(flat(ps), again, rtol=1e-6)


def test_norm_below_the_threshold_changes_nothing():
    ps = parameters()
    before = flat(ps)
    nn.utils.clip_grad_norm_(ps, np.linalg.norm(before) * 1.001)
    np.testing.assert_array_equal(flat(ps), before)


def test_norm_of_zero():
    ps = parameters(scale=0.0)
    assert float(nn.utils.clip_grad_norm_(ps, 1.0)) == 0
    assert not flat(ps).any()


def test_float32_norm_is_accurate():
    ps = parameters(dtype="float32")
    norm = np.linalg.norm(flat(ps).astype(np.float64))
    assert float(nn.utils.clip_grad_norm_(ps, 1e9)) == pytest.approx(norm, rel=1e-7)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nonfinite_gradients(value):
    ps = parameters()
    ps[1].buffer[3] = value
    ps[1].name = "layer.bias"
    before = flat(ps)
    with pytest.raises(FloatingPointError, match="layer.bias"):
        nn.utils.clip_grad_norm_(ps, 1.0)
    np.testing.assert_array_equal(flat(ps), before)
    nn.utils.clip_grad_norm_(ps, 1.0, on_nonfinite="skip")
    np.testing.assert_array_equal(flat(ps), before)
    nn.utils.clip_grad_norm_(ps, 1.0, on_nonfinite="zero")
    assert not flat(ps).any()


def test_a_norm_too_large_for_its_dtype():
    p = dl.Parameter(np.ones(4, np.float32))
    p.grad = np.full(4, 3e38, np.float32)
    with pytest.raises(FloatingPointError, match="all values are finite, but their norm is too large for float32"):
        nn.utils.clip_grad_norm_(p, 1.0)


def test_value():
    ps = parameters()
    before = flat(ps)
    nn.utils.clip_grad_value_(ps, 0.5)
    np.testing.assert_array_equal(flat(ps), np.clip(before, -0.5, 0.5))
    ps[0].buffer[0, 0] = np.nan
    nn.utils.clip_grad_value_(ps, 0.25)
    assert np.isnan(ps[0].buffer[0, 0])


@pytest.mark.parametrize("threshold", [0, -1, np.nan])
def test_bad_thresholds(threshold):
    with pytest.raises(ValueError, match="max_norm: got"):
        nn.utils.clip_grad_norm_(parameters(), threshold)
    with pytest.raises(ValueError, match="clip_value: got"):
        nn.utils.clip_grad_value_(parameters(), threshold)


def test_no_parameters():
    with pytest.raises(ValueError, match="got none"):
        nn.utils.clip_grad_norm_([], 1.0)


def test_parameters_without_gradients_do_not_count():
    ps = parameters()
    ps[0].grad = None
    assert float(nn.utils.clip_grad_norm_(ps, 1e9)) == pytest.approx(
        np.sqrt(sum((p.grad.numpy() ** 2).sum() for p in ps[1:]))
    )


def test_a_norm_does_not_depend_on_where_gradients_lie():
    """Neighbours in memory are taken together where that changes nothing; a sum would."""
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(shape).astype(np.float32) for shape in ((70, 30), (31,), (30, 3), (3,))]

    def norm(between):
        ps = []
        for value in values:
            ps.append(dl.Parameter(value))
            ps[-1].grad = value
            if between:
                dl.Parameter(np.zeros(between, np.float32))
        return [float(nn.utils.clip_grad_norm_(ps, bound)) for bound in (1e9, 1.0)]

    assert norm(0) == norm(5) == norm(100_000)
