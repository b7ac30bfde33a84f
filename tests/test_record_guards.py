"""Recordings: what makes them stale, and what a step may not do because a replay would not repeat it."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn, optim
from minidl.stabilize import clip_grad_norm_

X = np.ones((2, 3), np.float32)


def leaf(*values, dtype="float32"):
    return dl.Parameter(np.array(values, dtype))


def count(step):
    """How many recordings the step keeps."""
    return sum(map(len, step.recordings.values()))


def descend(optimizer, parameters):
    """A recorded step whose gradients are all 1."""

    def train():
        optimizer.zero_grad()
        sum(p.sum() for p in parameters).backward()
        optimizer.step()

    return dl.record(train)


# what makes a recording stale


def test_equal_arguments_of_other_types_have_recordings_of_their_own():
    step = dl.record(lambda x, factor: x * factor)
    assert step(np.array([1, 2]), 2).dtype == np.int64
    assert step(np.array([1, 2]), 2.0).dtype == np.float32
    step = dl.record(lambda x, flag: x + (10 if flag is True else 0))
    assert step(X, 1).numpy()[0, 0] == 1 and step(X, True).numpy()[0, 0] == 11


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
def test_a_recorded_step_updates_a_group_that_came_later(kind):
    a, b = leaf(1, 2), leaf(1, 2)
    a.grad = b.grad = np.ones(2, np.float32)
    optimizer = kind([a], lr=0.1)
    step, clear = dl.record(optimizer.step), dl.record(optimizer.zero_grad)
    step()
    clear()
    optimizer.add_param_group({"params": [b]})
    a.grad = b.grad = np.ones(2, np.float32)
    step()
    assert (b.numpy() != [1, 2]).all()
    clear()
    assert a.grad is None and b.grad is None


@pytest.mark.parametrize(
    "kind, before, after",
    [(optim.SGD, {"momentum": 0.0}, {"momentum": 0.9}), (optim.Adam, {"amsgrad": False}, {"amsgrad": True})],
)
@pytest.mark.parametrize("change", ["assign", "or"])
def test_settings_that_call_for_other_state_reach_a_recorded_step(kind, before, after, change):
    results = []
    for recorded in (False, True):
        p = leaf(1, 2, dtype="float64")
        optimizer = kind([p], lr=0.1, **before)
        step = descend(optimizer, [p])
        step = step if recorded else step.function
        step()
        group = optimizer.param_groups[0]
        if change == "or":
            group |= after
        else:
            group.update(after)
        for _ in range(3):
            step()
        results.append(p.numpy())
        assert set(optimizer.state[p].buffers) == set(optimizer.buffers_of(group)) != set()
    np.testing.assert_array_equal(*results)


def test_a_learning_rate_set_with_or_reaches_a_recorded_step():
    p = leaf(1)
    optimizer = optim.SGD([p], lr=0.5)
    step = descend(optimizer, [p])
    step()
    optimizer.param_groups[0] |= {"lr": 0.25}
    step()
    assert p.item() == 0.25 and count(step) == 1


@pytest.mark.parametrize("inside", ["linear", "update"])
def test_a_converted_model_is_recorded_again_where_no_module_is_called(inside):
    model = nn.Linear(3, 2)
    if inside == "linear":
        step = dl.record(lambda: F.linear(dl.ones(1, 3, dtype=model.weight.dtype), model.weight))
        step()
        assert step().dtype == np.float32
        model.double()
        assert step().dtype == np.float64
    else:
        step = dl.record(lambda: clip_grad_norm_(model.parameters(), 1.0))
        model(X).sum().backward()
        assert step().dtype == np.float32
        model.double()
        assert step().dtype == np.float64
    assert count(step) == 1  # the first can never hold again


@pytest.mark.parametrize("layer", [nn.Dropout, nn.AlphaDropout])
def test_a_new_probability_reaches_a_recorded_step(layer):
    drop = layer(0.5)
    step = dl.record(drop)
    assert (step(np.ones(1000, np.float32)).numpy() != 1).any()
    drop.p = 0.0
    np.testing.assert_allclose(step(np.ones(1000, np.float32)).numpy(), 1)
    drop.p = 0.0
    step(np.ones(1000, np.float32))
    assert count(step) == 1


# what is no reason to record again


def test_leaves_that_a_step_makes_do_not_make_it_stale():
    calls = []

    def gradient(x):
        calls.append(1)
        noise = dl.ones(2, 3, requires_grad=True)
        later = dl.zeros(2, 3).requires_grad_()
        x.requires_grad_()
        (x * x * noise + later).sum().backward()
        return x.grad, noise.grad, later.grad

    step = dl.record(gradient)
    for factor in (1, 2, 3):
        dx, dnoise, dlater = step(factor * X)
        np.testing.assert_array_equal(dx.numpy(), 2 * factor * X)
        np.testing.assert_array_equal(dnoise.numpy(), factor**2 * X)
        np.testing.assert_array_equal(dlater.numpy(), X)
    assert len(calls) == count(step) == 1


def test_a_step_that_freezes_and_thaws_is_recorded_once():
    critic, generator = nn.Linear(3, 1), nn.Linear(3, 3)
    calls = []

    def train(x):
        calls.append(1)
        critic.requires_grad_(False)
        generator.zero_grad()
        loss = critic(generator(x)).mean()
        loss.backward()
        critic.requires_grad_(True)
        return loss

    step = dl.record(train)
    for _ in range(3):
        step(X)
        generator.eval().train()  # the guards are looked at again
    assert len(calls) == 1 and critic.weight.grad is None and generator.weight.grad is not None


def test_recordings_that_cannot_hold_again_are_dropped():
    model = nn.Linear(3, 2)
    step = dl.record(lambda x: model(x))
    for rows in (2, 3):
        step(np.ones((rows, 3), np.float32))
    for _ in range(3):
        model.weight = nn.Parameter(np.ones((2, 3), np.float32))
        assert step(X).numpy()[0, 0] == pytest.approx(3 + model.bias.numpy()[0])
        assert count(step) == 1


# what a step may not take, read or do


def test_arguments_that_require_gradients_are_refused():
    step = dl.record(lambda x: x * 2)
    step(X)
    for argument in (dl.tensor(X, requires_grad=True), dl.tensor(X, requires_grad=True) * 2):
        with pytest.raises(TypeError, match="argument 0: got a tensor that requires a gradient"):
            step(argument)
    step(dl.tensor(X, requires_grad=True).detach())


@pytest.mark.parametrize("container", [tuple, list])
def test_containers_of_tensors_are_refused(container):
    with pytest.raises(TypeError, match=f"argument 1: got a {container.__name__} of tensors"):
        dl.record(lambda x, more: x)(X, container([dl.tensor(X)]))


@pytest.mark.parametrize("copy", [dl.tensor, dl.Parameter])
def test_copies_of_values_that_change_are_refused(copy):
    with pytest.raises(RuntimeError, match=rf"{copy.__name__}\(\) at .*changes from step to step"):
        dl.record(lambda x: copy(x * 2))(X)


def test_a_change_in_place_of_what_the_step_has_read_is_refused():
    counter = dl.tensor(0.0)

    def step():
        if float(counter) < 2:
            counter.add_(1)

    with pytest.raises(RuntimeError, match="add_: the step has read"):
        dl.record(step)()
    assert counter.item() == 0


def test_a_gradient_changed_behind_a_clip_is_looked_at_again():
    p, factor = leaf(1, 2), dl.tensor(1.0)
    optimizer = optim.SGD([p], lr=0.1)

    def train():
        optimizer.zero_grad()
        p.sum().backward()
        clip_grad_norm_([p], 1.0)
        p.grad.mul_(factor)
        optimizer.step()

    step = dl.record(train)
    step()
    before = p.numpy().copy()
    factor.fill_(np.inf)
    with pytest.raises(FloatingPointError, match="NaN or Inf in the gradient"):
        step()
    np.testing.assert_array_equal(p.numpy(), before)


def test_gradients_may_be_computed_with_in_a_step():
    p = leaf(1, 2, dtype="float64")

    def train(x):
        p.grad = None
        y = p * x
        y.backward(x * 2)
        p.grad = p.grad * 2
        return p.grad

    step = dl.record(train)
    for factor in (1.0, 3.0):
        np.testing.assert_array_equal(step(np.full(2, factor)).numpy(), 4 * factor**2)
    with pytest.raises(RuntimeError, match="conversion to float64"):
        dl.record(lambda x: setattr(p, "grad", x * 2))(np.ones(2, np.float32))


def test_backward_outside_of_the_step_is_refused():
    w = leaf(1, 2, 3)
    step = dl.record(lambda x: (x * w).sum())
    for _ in range(2):
        with pytest.raises(RuntimeError, match="made in a recorded step"):
            step(X).backward()
    assert w.grad is None


def model_and_optimizer():
    model = nn.Linear(3, 2)
    return model, optim.Adam(model.parameters())


@pytest.mark.parametrize(
    "call",
    [
        lambda model, optimizer: model.load_state_dict(model.state_dict()),
        lambda model, optimizer: optimizer.load_state_dict(optimizer.state_dict()),
        lambda model, optimizer: optimizer.add_param_group({"params": [leaf(1)]}),
        lambda model, optimizer: optimizer.param_groups[0].update(lr=0.1),
        lambda model, optimizer: dl.manual_seed(0),
    ],
)
def test_calls_that_would_run_once(call):
    model, optimizer = model_and_optimizer()
    with pytest.raises(RuntimeError, match="while recording"):
        dl.record(lambda: call(model, optimizer))()
    call(model, optimizer)


def test_an_empty_tensor_may_be_written_by_hand():
    def constant():
        x = dl.empty(2, 3)
        x.numpy()[...] = X
        return x * 2

    np.testing.assert_array_equal(dl.record(constant)().numpy(), 2 * X)


# other ways to call a step


def test_detect_anomaly_looks_at_every_call_of_a_recorded_step():
    step = dl.record(lambda x: F.relu(F.log(x)) * 2)
    expected = step(2 * X).numpy().copy()
    with dl.detect_anomaly():
        np.testing.assert_array_equal(step(2 * X).numpy(), expected)
        with pytest.raises(FloatingPointError, match="log, forward: made"):
            step(0 * X)
    np.testing.assert_array_equal(step(0 * X).numpy(), 0)
    assert count(step) == 1


class Scaler:
    """Something with a recorded method."""

    calls = 0

    def __init__(self, factor):
        self.factor = factor

    @dl.record
    def scale(self, x, shift=0.0):
        """Docstring."""
        self.calls += 1
        return x * self.factor + shift


def test_a_method_is_recorded_for_each_object():
    two, three = Scaler(2), Scaler(3)
    for _ in range(2):
        assert two.scale(X).numpy()[0, 0] == 2 and three.scale(X).numpy()[0, 0] == 3
    assert two.calls == three.calls == 1
    two.scale.verify(X)
    assert Scaler.scale.__doc__ == "Docstring."


def test_verify_takes_arguments_by_name():
    Scaler(2).scale.verify(x=X, shift=1.0)


def test_settings_that_are_tuples():
    layer = nn.Conv2d(1, 1, 3, padding=1)
    step = dl.record(lambda x: layer(x))
    x = np.ones((1, 1, 8, 8), "float32")
    assert step(x).shape == (1, 1, 8, 8)
    layer.stride = (2, 2)
    assert step(x).shape == (1, 1, 4, 4)
