"""The dynamic loss scale: good steps, left out steps, growth and its limits, and what does not fit together."""

import numpy as np
import pytest

import minidl as dl
from minidl import optim, stabilize


def make(wrap=lambda step: step, lr=0.5, **settings):
    """One parameter whose gradient is the step's argument."""
    x = dl.Parameter(np.zeros(3))
    optimizer, scaler = optim.SGD([x], lr=lr), stabilize.GradScaler(**settings)

    @wrap
    def step(gradient):
        optimizer.zero_grad()
        scaler.scale((x * gradient).sum()).backward(on_nonfinite="ignore")
        scaler.step(optimizer)
        scaler.update()

    return step, x, scaler, optimizer


GOOD = np.array([1.0, 2.0, -3.0])


@pytest.mark.parametrize("wrap", [dl.record, lambda step: step])
def test_scale_goes_up_and_down(wrap):
    step, x, scaler, _ = make(wrap, init_scale=8.0, growth_interval=2)
    scales, moved = [], []
    for value in (1, 1, np.inf, 1, np.nan, -np.inf, 1, 1, 0):
        before = x.numpy().copy()
        step(GOOD * 0 if value == 0 else np.array([1.0, value, 1.0]))
        scales.append(scaler.get_scale())
        moved.append(bool((x.numpy() != before).any()))
    assert scales == [8, 16, 8, 8, 4, 2, 2, 4, 4]
    assert moved == [True, True, False, True, False, False, True, True, False]
    np.testing.assert_array_equal(x.numpy(), np.full(3, -2.5))
    s = scaler.statistics
    assert (s.calls, s.acted, s.last_before, s.last_after) == (9, 3, 4, 4)
    assert "33.3% left out" in str(s)


def test_gradients_are_unscaled_once():
    step, x, scaler, optimizer = make()
    scaler.scale((x * GOOD).sum()).backward()
    np.testing.assert_array_equal(x.grad.numpy(), GOOD * 2.0**16)
    scaler.unscale_(optimizer)
    np.testing.assert_array_equal(x.grad.numpy(), GOOD)
    with pytest.raises(RuntimeError, match="unscale_ has run"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    np.testing.assert_array_equal(x.numpy(), -0.5 * GOOD)
    for function, what in ((scaler.unscale_, "unscale_: step has run"), (scaler.step, "step: has run")):
        with pytest.raises(RuntimeError, match=what):
            function(optimizer)
    scaler.update()
    scaler.unscale_(optimizer)


def test_the_scale_does_not_overflow():
    step, _, scaler, _ = make(init_scale=2.0**126, growth_interval=1)
    step(GOOD * 0)
    step(GOOD * 0)
    assert scaler.get_scale() == 2.0**127


def test_one_bad_optimizer_lowers_the_scale_of_all():
    x, y = dl.Parameter(np.ones(2)), dl.Parameter(np.ones(2, "float32"))
    one, two = optim.SGD([x], lr=1.0), optim.SGD([y], lr=1.0)
    scaler = stabilize.GradScaler(4.0)
    x.grad, y.grad = np.full(2, np.inf), np.full(2, 4.0, "float32")
    scaler.step(one)
    scaler.step(two)
    scaler.update()
    assert scaler.get_scale() == 2
    np.testing.assert_array_equal(x.numpy(), np.ones(2))
    np.testing.assert_array_equal(y.numpy(), np.zeros(2, "float32"))


def test_clip_between_unscale_and_step():
    x = dl.Parameter(np.zeros(3))
    optimizer, scaler = optim.SGD([x], lr=1.0), stabilize.GradScaler()
    clip = stabilize.ClipGradNorm([x], 1.0, on_nonfinite="skip")

    @dl.record
    def step(gradient):
        optimizer.zero_grad()
        scaler.scale((x * gradient).sum()).backward(on_nonfinite="ignore")
        scaler.unscale_(optimizer)
        clip()
        scaler.step(optimizer)
        scaler.update()

    step(GOOD)
    np.testing.assert_allclose(x.numpy(), -GOOD / np.linalg.norm(GOOD), rtol=1e-6)
    before = x.numpy().copy()
    step(GOOD * np.inf)
    np.testing.assert_array_equal(x.numpy(), before)
    assert scaler.get_scale() == 2.0**15


def test_verify_and_threads():
    found = []
    for threads in (1, 2):
        dl.set_num_threads(threads)
        step, x, scaler, _ = make(dl.record, growth_interval=2)
        for value in (1.0, np.inf, 1.0, 1.0):
            step(GOOD * value)
            step.verify(GOOD * value)
        found.append((x.numpy().tolist(), scaler.state_dict()))
    assert found[0] == found[1]


def test_state_dict_in_place():
    step, x, scaler, _ = make(dl.record, growth_interval=3)
    step(GOOD)
    saved = scaler.state_dict()
    step(GOOD * np.inf)
    step(GOOD)
    scaler.load_state_dict(saved)
    assert scaler.state_dict() == saved and saved["_growth_tracker"] == 1
    step(GOOD)
    step(GOOD)
    assert scaler.get_scale() == 2.0**17
    with pytest.raises(ValueError, match="scale: got none"):
        scaler.load_state_dict({})
    with pytest.raises(ValueError, match="growth_factor: got 0.5"):
        scaler.load_state_dict({**saved, "growth_factor": 0.5})
    assert scaler.growth_factor == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"init_scale": 0.0},
        {"init_scale": np.nan},
        {"init_scale": np.inf},
        {"growth_factor": 1.0},
        {"growth_factor": np.nan},
        {"backoff_factor": 1.0},
        {"backoff_factor": 0.0},
        {"growth_interval": 0},
        {"growth_interval": 1.5},
    ],
)
def test_bad_settings(settings):
    with pytest.raises(ValueError, match=f"GradScaler: {next(iter(settings))}: got"):
        stabilize.GradScaler(**settings)


def test_update_before_anything():
    with pytest.raises(RuntimeError, match="no gradients have been unscaled"):
        stabilize.GradScaler().update()
