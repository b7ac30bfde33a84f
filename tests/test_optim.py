"""Optimizers: the formulas against NumPy float64, groups, state, guards, bad input."""

import copy

import numpy as np
import pytest

import minidl as dl
from minidl import optim


def problem(dtype="float64", size=40_000):
    """A parameter of several segments and its gradients of four steps."""
    rng = np.random.default_rng(0)
    return dl.Parameter(rng.standard_normal(size).astype(dtype)), rng.standard_normal((4, size)).astype(dtype)


def run(optimizer, parameter, gradients):
    for gradient in gradients:
        parameter.grad = gradient
        optimizer.step()
    return parameter.numpy()


@pytest.mark.parametrize(
    "momentum, dampening, nesterov", [(0, 0, False), (0.9, 0, False), (0.9, 0.3, False), (0.9, 0, True)]
)
def test_sgd(momentum, dampening, nesterov):
    p, gradients = problem()
    x, v = p.numpy().copy(), 0.0
    for i, g in enumerate(gradients):
        g = g + 0.1 * x
        v = g if i == 0 else momentum * v + (1 - dampening) * g
        x = x - 0.01 * ((g + momentum * v if nesterov else v) if momentum else g)
    opt = optim.SGD([p], lr=0.01, momentum=momentum, dampening=dampening, nesterov=nesterov, weight_decay=0.1)
    np.testing.assert_allclose(run(opt, p, gradients), x, rtol=1e-12)


@pytest.mark.parametrize("kind", [optim.Adam, optim.AdamW])
@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam(kind, amsgrad):
    p, gradients = problem()
    x = p.numpy().copy()
    m = v = largest = np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        if kind is optim.AdamW:
            x = x - 0.01 * 0.1 * x
        else:
            g = g + 0.1 * x
        m, v = 0.8 * m + 0.2 * g, 0.99 * v + 0.01 * g * g
        largest = np.maximum(largest, v)
        root = np.sqrt((largest if amsgrad else v) / (1 - 0.99**t))
        x = x - 0.01 * m / (1 - 0.8**t) / (root + 1e-8)
    opt = kind([p], lr=0.01, betas=(0.8, 0.99), weight_decay=0.1, amsgrad=amsgrad)
    np.testing.assert_allclose(run(opt, p, gradients), x, rtol=1e-10)


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW])
def test_maximize_goes_the_other_way(kind):
    up, gradients = problem(size=10)
    down, _ = problem(size=10)
    start = up.numpy().copy()
    run(kind([up], lr=0.1, maximize=True, weight_decay=0), up, gradients)
    run(kind([down], lr=0.1, weight_decay=0), down, gradients)
    np.testing.assert_allclose(up.numpy() - start, start - down.numpy(), atol=1e-12)


def test_a_parameter_without_gradient_stays_and_keeps_its_own_clock():
    a, gradients = problem(size=5)
    b, _ = problem(size=5)
    opt = optim.Adam([a, b], lr=0.1)
    run(opt, a, gradients[:2])
    np.testing.assert_array_equal(b.numpy(), problem(size=5)[0].numpy())
    a.grad = None
    alone, _ = problem(size=5)
    run(optim.Adam([alone], lr=0.1), alone, gradients[2:])
    run(opt, b, gradients[2:])
    np.testing.assert_array_equal(b.numpy(), alone.numpy())


def test_groups_have_settings_of_their_own():
    a, gradients = problem(size=5)
    b, _ = problem(size=5)
    start = a.numpy().copy()
    opt = optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=0.1)
    a.grad = b.grad = gradients[0]
    opt.step()
    np.testing.assert_allclose(a.numpy(), start - 0.1 * gradients[0])
    np.testing.assert_allclose(b.numpy(), start - 0.5 * gradients[0])


@pytest.mark.parametrize(
    "kind, settings", [(optim.SGD, {"momentum": 0.9}), (optim.Adam, {}), (optim.AdamW, {"amsgrad": True})]
)
def test_state_dict_goes_on_where_it_stopped(kind, settings):
    whole, gradients = problem(size=7)
    run(kind([whole], lr=0.1, **settings), whole, gradients)
    part, _ = problem(size=7)
    first = kind([part], lr=0.1, **settings)
    run(first, part, gradients[:2])
    second = kind([part], lr=0.3, **settings)
    second.load_state_dict(first.state_dict())
    np.testing.assert_array_equal(run(second, part, gradients[2:]), whole.numpy())


@pytest.mark.parametrize("policy", ["raise", "skip", "zero"])
def test_nonfinite_gradients(policy):
    p, gradients = problem(size=5)
    p.name = "fc.weight"
    start, bad = p.numpy().copy(), gradients[0].copy()
    bad[2] = np.nan
    opt = optim.SGD([p], lr=0.1, on_nonfinite=policy)
    p.grad = bad
    if policy == "raise":
        with pytest.raises(FloatingPointError, match=r"fc.weight \(1 values, shape \(5,\)\)"):
            opt.step()
    else:
        opt.step()
    expected = start - 0.1 * np.nan_to_num(bad) if policy == "zero" else start
    np.testing.assert_allclose(p.numpy(), expected)
    p.grad = gradients[1]
    opt.step()
    np.testing.assert_allclose(p.numpy(), expected - 0.1 * gradients[1])


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD([p], lr=-1),
        lambda p: optim.SGD([p], lr=float("nan")),
        lambda p: optim.SGD([p], nesterov=True),
        lambda p: optim.Adam([p], betas=(1.0, 0.9)),
        lambda p: optim.Adam([p], eps=-1e-8),
        lambda p: optim.Adam([]),
        lambda p: optim.Adam([p, p]),
        lambda p: optim.Adam([p], on_nonfinite="ignore"),
        lambda p: optim.Adam([dl.functional.relu(p)]),
    ],
)
def test_bad_settings(make):
    with pytest.raises(ValueError):
        make(problem(size=3)[0])


def test_a_bad_setting_between_steps_changes_nothing():
    p, _ = problem(size=3)
    opt = optim.SGD([p], lr=0.1)
    with pytest.raises(ValueError, match="lr: got -1"):
        opt.param_groups[0]["lr"] = -1
    assert opt.param_groups[0]["lr"] == 0.1


def test_an_optimizer_that_has_stepped_refuses_a_converted_model():
    model = dl.nn.Linear(3, 2)
    opt = optim.Adam(model.parameters())
    for parameter in model.parameters():
        parameter.grad = np.ones(parameter.shape)
    opt.step()
    model.double()
    with pytest.raises(TypeError, match="weight is now float64 .* exp_avg float32 .* make an optimizer after"):
        opt.step()


def test_zeroed_gradients_are_those_that_were_there():
    a, b = problem(size=3)[0], problem(size=3)[0]
    a.grad = np.ones(3)
    optim.SGD([a, b]).zero_grad(set_to_none=False)
    assert a.grad.tolist() == [0, 0, 0] and b.grad is None


def trained(kind, steps=2, **settings):
    """An optimizer over two parameters after some steps, and what to do for one more."""
    parameters, gradients = [problem(size=3)[0], problem(size=3)[0]], problem(size=3)[1]
    opt = kind(parameters, lr=0.1, **settings)

    def step(i=3):
        for parameter in parameters:
            parameter.grad = gradients[i]
        opt.step()
        return [parameter.numpy().copy() for parameter in parameters]

    for i in range(steps):
        step(i)
    return opt, step


def spoil_shape(state):
    state["state"][1]["exp_avg"] = np.zeros(4)


def spoil_setting(state):
    state["param_groups"][0]["betas"] = (0.9, 2.0)


def spoil_number(state):
    state["state"][2] = state["state"][1]


def spoil_name(state):
    del state["state"][1]["exp_avg_sq"]


@pytest.mark.parametrize(
    "spoil, message",
    [
        (spoil_shape, r"exp_avg of parameter 1: got shape \(4,\), expected shape \(3,\)"),
        (spoil_setting, r"betas\[1\]: got 2.0"),
        (spoil_number, "state of parameter 2, expected 0 to 1"),
        (spoil_name, "exp_avg_sq of parameter 1: got none"),
    ],
)
def test_a_state_dict_that_does_not_fit_changes_nothing(spoil, message):
    opt, step = trained(optim.Adam)
    _, expected = trained(optim.Adam)
    state = trained(optim.Adam, steps=4)[0].state_dict()
    state["param_groups"][0]["lr"] = 7.0
    spoil(state)
    with pytest.raises(ValueError, match=message):
        opt.load_state_dict(state)
    assert opt.param_groups[0]["lr"] == 0.1
    np.testing.assert_array_equal(step(), expected())


def test_parameters_that_a_state_dict_does_not_name_start_anew():
    opt, step = trained(optim.Adam)
    begin, first = trained(optim.Adam, steps=0)
    for p, q in zip(opt.parameters, begin.parameters, strict=True):
        p.array[...] = q.array
    opt.load_state_dict(begin.state_dict())
    np.testing.assert_array_equal(step(), first())


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_state_dict_of_pytorchs_sgd(momentum):
    opt, step = trained(optim.SGD, momentum=momentum)
    other, other_step = trained(optim.SGD, steps=0, momentum=momentum)
    state = opt.state_dict()
    for values in state["state"].values():
        del values["step"]
        values.setdefault("momentum_buffer", None)
    for p, q in zip(opt.parameters, other.parameters, strict=True):
        q.array[...] = p.array
    other.load_state_dict(state)
    np.testing.assert_array_equal(other_step(), step())


def test_loading_reaches_a_recorded_step():
    opt, step = trained(optim.Adam)
    recorded = dl.record(opt.step)
    recorded()
    saved, before = opt.state_dict(), [p.numpy().copy() for p in opt.parameters]
    recorded()
    expected = [p.numpy().copy() for p in opt.parameters]
    for p, values in zip(opt.parameters, before, strict=True):
        p.array[...] = values
    opt.load_state_dict(saved)
    recorded()
    np.testing.assert_array_equal([p.numpy() for p in opt.parameters], expected)


def test_what_an_optimizer_is_not():
    model = dl.nn.Linear(3, 2)
    with pytest.raises(TypeError, match="sgd: params: got tuple, expected Parameters or dicts"):
        optim.SGD(model.named_parameters())
    opt = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(TypeError, match="sgd: an optimizer cannot be copied"):
        copy.deepcopy(opt)
    assert str(opt) == repr(opt) and "lr: 0.1" in str(opt)
