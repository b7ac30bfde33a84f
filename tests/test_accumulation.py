"""Gradient accumulation: the step on several small batches is the step on all of them together."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn, optim, stabilize

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((24, 5)), RNG.integers(0, 3, 24)


def make(dtype="float64"):
    dl.manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 200), nn.Tanh(), nn.Linear(200, 3)).to(dtype)
    return model, optim.Adam(model.parameters(), lr=0.01)


def weights(model):
    return np.concatenate([p.numpy().ravel() for p in model.parameters()])


def training_step(model, optimizer, accumulate, clip=None):
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        with accumulate:
            if clip is not None:
                clip()
            optimizer.step()
        return loss

    return step


def run(wrap, steps, sizes, clip_norm=None, dtype="float64"):
    """The weights after every small batch."""
    model, optimizer = make(dtype)
    accumulate = stabilize.GradientAccumulation(model.parameters(), steps)
    clip = None if clip_norm is None else stabilize.ClipGradNorm(model.parameters(), clip_norm)
    step, found, start = wrap(training_step(model, optimizer, accumulate, clip)), [], 0
    for size in sizes:
        step(X[start : start + size].astype(dtype), Y[start : start + size])
        found.append(weights(model).copy())
        start += size
    return found, accumulate, clip


def whole(batches, clip_norm=None):
    """The weights after steps on whole batches."""
    model, optimizer = make()
    for rows in batches:
        optimizer.zero_grad()
        F.cross_entropy(model(X[rows]), Y[rows]).backward()
        if clip_norm is not None:
            stabilize.clip_grad_norm_(model.parameters(), clip_norm)
        optimizer.step()
    return weights(model)


@pytest.mark.parametrize("wrap", [dl.record, lambda step: step])
@pytest.mark.parametrize("clip_norm", [None, 0.05])
def test_equals_the_step_on_the_joined_batch(wrap, clip_norm):
    found, accumulate, clip = run(wrap, 3, [4] * 6, clip_norm)
    expected = whole([slice(0, 12), slice(12, 24)], clip_norm)
    np.testing.assert_allclose(found[-1], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(found[0], found[1])  # nothing moves in between
    assert (found[2] != found[1]).any() and accumulate.due
    if clip is not None:
        assert clip.statistics.calls == clip.statistics.acted == 2


def test_shapes_may_differ():
    found, _, _ = run(dl.record, 2, [4, 8, 8, 4])
    eager, _, _ = run(lambda step: step, 2, [4, 8, 8, 4])
    for one, other in zip(found, eager, strict=True):
        np.testing.assert_array_equal(one, other)
    model, optimizer = make()
    for start, cut, end in ((0, 4, 12), (12, 20, 24)):
        optimizer.zero_grad()
        losses = [F.cross_entropy(model(X[a:b]), Y[a:b]) for a, b in ((start, cut), (cut, end))]
        ((losses[0] + losses[1]) / 2).backward()
        optimizer.step()
    np.testing.assert_allclose(found[-1], weights(model), rtol=1e-9, atol=1e-12)


def test_one_step_is_no_accumulation():
    found, _, _ = run(dl.record, 1, [12, 12])
    np.testing.assert_array_equal(found[-1], whole([slice(0, 12), slice(12, 24)]))


def test_bits_do_not_depend_on_threads():
    found = []
    for threads in (1, 2):
        dl.set_num_threads(threads)
        found.append(run(dl.record, 2, [6] * 4, dtype="float32")[0][-1])
    np.testing.assert_array_equal(*found)


def test_reset_and_other_numbers_of_steps():
    p = dl.Parameter(np.zeros(3))
    accumulate, seen = stabilize.GradientAccumulation(p, 3), []

    def add(value):
        p.grad = np.full(3, value)
        with accumulate:
            pass
        seen.append((accumulate.due, int(accumulate.seen[0])))

    for value in (1.0, 2.0):
        add(value)
    accumulate.reset()
    for value in (4.0, 5.0, 9.0):
        add(value)
    np.testing.assert_array_equal(p.grad, np.full(3, 6.0))
    accumulate.steps = 2
    for value in (1.0, 2.0):
        add(value)
    np.testing.assert_array_equal(p.grad, np.full(3, 1.5))
    assert seen == [(False, 1), (False, 2), (False, 1), (False, 2), (True, 3), (False, 1), (True, 2)]


def test_a_spoiled_sum_does_not_last():
    p = dl.Parameter(np.zeros(3))
    accumulate, optimizer = stabilize.GradientAccumulation([p], 2), optim.SGD([p], lr=1.0)
    for gradients, fails in (((np.nan, 1.0), True), ((1.0, np.inf), True), ((1.0, 3.0), False)):
        for i, value in enumerate(gradients):
            p.grad = np.full(3, value)
            if fails and i:
                with pytest.raises(FloatingPointError), accumulate:
                    optimizer.step()
            else:
                with accumulate:
                    optimizer.step()
    np.testing.assert_array_equal(p.numpy(), np.full(3, -2.0))


def test_a_parameter_that_is_used_now_and_then():
    used, other = dl.Parameter(np.ones(2)), dl.Parameter(np.ones(2))
    optimizer = optim.SGD([used, other], lr=1.0)
    accumulate = stabilize.GradientAccumulation([used, other], 2)

    @dl.record
    def step(both):
        optimizer.zero_grad()
        (used.sum() + other.sum() if both else used.sum()).backward()
        with accumulate:
            optimizer.step()

    for both in (True, False, False, True, False, False):
        step(both)
    np.testing.assert_array_equal(used.numpy(), np.full(2, -2.0))
    np.testing.assert_array_equal(other.numpy(), np.zeros(2))  # half a gradient, twice


def test_verify():
    model, optimizer = make()
    accumulate = stabilize.GradientAccumulation(model.parameters(), 2)
    step = dl.record(training_step(model, optimizer, accumulate, stabilize.ClipGradNorm(model.parameters(), 0.1)))
    for _ in range(3):
        step(X, Y)
        step.verify(X, Y)
    assert "GradientAccumulation" in str(step)


def test_a_gate_vouches_for_nothing_outside_its_block():
    p = dl.Parameter(np.ones(2))
    accumulate, clip = stabilize.GradientAccumulation(p, 2), stabilize.ClipGradNorm(p, 1.0)
    optimizer = optim.SGD([p])

    @dl.record
    def step(scale):
        optimizer.zero_grad()
        (p * scale).sqrt().sum().backward()
        with accumulate:
            clip()
        optimizer.step()

    step(np.ones(2))
    step(np.ones(2))
    with pytest.raises(FloatingPointError, match="gradient"):
        step(np.array([1.0, 0.0]))  # the block is closed


@pytest.mark.parametrize("steps", [0, -1, 1.5, np.nan])
def test_bad_input(steps):
    with pytest.raises(ValueError, match="GradientAccumulation: steps: got"):
        stabilize.GradientAccumulation(dl.Parameter(np.ones(2)), steps)
    with pytest.raises(ValueError, match="parameters: got none"):
        stabilize.GradientAccumulation([], 2)
