"""Learning-rate schedules: formulas, state, what recorded steps see, and bad arguments. See also tests/parity."""

import json
import math

import numpy as np
import pytest

import minidl as dl
from minidl import nn, optim
from minidl.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)


def make_optimizer(lr=0.1, **settings):
    """SGD with two groups."""
    model = nn.Linear(2, 2)
    return optim.SGD([{"params": [model.weight]}, {"params": [model.bias], "lr": 1.0}], lr=lr, **settings)


def rates(schedule, steps):
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr())
        schedule.step()
    return found


# formulas, with rates of 0.1 and 1


@pytest.mark.parametrize(
    "make, formula",
    [
        (lambda o: StepLR(o, 3, 0.5), lambda t: 0.5 ** (t // 3)),
        (lambda o: MultiStepLR(o, [2, 7, 7]), lambda t: 0.1 ** ((t >= 2) + 2 * (t >= 7))),
        (lambda o: ConstantLR(o, 0.2, 4), lambda t: 0.2 if t < 4 else 1),
        (lambda o: ConstantLR(o, 0.0, 4), lambda t: float(t >= 4)),  # PyTorch divides by zero
        (lambda o: LinearLR(o, 0.1, 0.7, 6), lambda t: 0.1 + 0.1 * min(t, 6)),
        (lambda o: ExponentialLR(o, 0.8), lambda t: 0.8**t),
        (lambda o: PolynomialLR(o, 8, 2), lambda t: max(1 - t / 8, 0) ** 2),
        (lambda o: CosineAnnealingLR(o, 4), lambda t: (1 + math.cos(math.pi * t / 4)) / 2),
        (lambda o: CosineAnnealingWarmRestarts(o, 4), lambda t: (1 + math.cos(math.pi * (t % 4) / 4)) / 2),
        (lambda o: LambdaLR(o, lambda t: 1 / (1 + t)), lambda t: 1 / (1 + t)),
        (lambda o: MultiplicativeLR(o, lambda t: t / (1 + t)), lambda t: 1 / (1 + t)),
    ],
)
def test_formulas(make, formula):
    found = rates(make(make_optimizer()), 12)
    expected = [[0.1 * formula(t), formula(t)] for t in range(12)]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-17)


def test_factors_of_a_chain_multiply():
    optimizer = make_optimizer()
    schedule = ChainedScheduler([ConstantLR(optimizer, 0.1, 3), ExponentialLR(optimizer, 0.9)])
    expected = [[0.1 * share, share] for share in (0.9**t * (0.1 if t < 3 else 1) for t in range(6))]
    np.testing.assert_allclose(rates(schedule, 6), expected)


def test_warm_up():
    optimizer = make_optimizer()
    schedule = SequentialLR(optimizer, [LinearLR(optimizer, 0.2, total_iters=4), CosineAnnealingLR(optimizer, 6)], [4])
    found = [rate for _, rate in rates(schedule, 11)]
    expected = [0.2, 0.4, 0.6, 0.8, *((1 + math.cos(math.pi * t / 6)) / 2 for t in range(7))]
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_a_sequence_goes_on_after_some_steps():
    def make(last_epoch=-1):
        optimizer = make_optimizer()
        parts = [LinearLR(optimizer, 0.5, total_iters=4), ExponentialLR(optimizer, 0.9)]
        return SequentialLR(optimizer, parts, [4], last_epoch)

    expected = rates(make(), 9)
    assert rates(make(last_epoch=5), 3) == expected[6:]


def test_schedules_within_schedules():
    """A chain and a sequence as the second part of a sequence: PyTorch 2.13 refuses."""
    optimizer = make_optimizer(lr=1.0)
    chain = ChainedScheduler([ConstantLR(optimizer, 0.5, 2), ExponentialLR(optimizer, 0.9)])
    inner = SequentialLR(optimizer, [ConstantLR(optimizer, 0.25, 9), StepLR(optimizer, 1, 0.5)], [1])
    schedule = SequentialLR(optimizer, [ConstantLR(optimizer, 0.1, 9), chain, inner], [2, 5])
    found = [rate for rate, _ in rates(schedule, 9)]
    np.testing.assert_allclose(found, [0.1, 0.1, 0.5, 0.45, 0.81, 0.25, 1, 0.5, 0.25])


def test_one_cycle_ends():
    schedule = OneCycleLR(make_optimizer(), 1.0, 5)
    found = rates(schedule, 5)
    assert found[0] == pytest.approx([1 / 25] * 2) and found[4] == pytest.approx([1 / 25 / 1e4] * 2)
    assert max(rate for rate, _ in found) < 1  # the top lies between two steps
    assert schedule.get_last_lr() == found[4]
    with pytest.raises(ValueError, match="OneCycleLR: step 6 of 5: the cycle is over"):
        schedule.step()
    # where the way up has no length: PyTorch divides by zero
    assert rates(OneCycleLR(make_optimizer(), 1.0, 10, pct_start=0.1), 10)[0] == [1.0, 1.0]


def test_restarts_come_when_they_are_due():
    """Also where the logarithm of PyTorch's formula, log(243, 3) = 4.999..., is one period behind."""
    schedule = CosineAnnealingWarmRestarts(make_optimizer(), 2, 3)
    schedule.step(242)  # 2 + 6 + 18 + 54 + 162
    assert schedule.T_cur == 0 and schedule.T_i == 486 and schedule.get_last_lr() == [0.1, 1.0]


def test_plateau():
    schedule = ReduceLROnPlateau(make_optimizer(), patience=1, factor=0.5, cooldown=1)
    found = []
    for figure in (3, 2, 2, 2.5, 2, 2, 2, math.nan, 1):
        schedule.step(figure)
        found.append(schedule.get_last_lr()[1])
    assert found == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25] and schedule.best == 1


class Halves(LRScheduler):
    """A schedule of the user's."""

    def get_lr(self):
        return [rate / 2**self.last_epoch for rate in self.base_lrs]


def test_a_schedule_of_the_users():
    assert rates(Halves(make_optimizer()), 3) == [[0.1, 1.0], [0.05, 0.5], [0.025, 0.25]]
    with pytest.raises(NotImplementedError, match="LRScheduler: get_lr"):
        LRScheduler(make_optimizer())


# recorded steps


@pytest.mark.parametrize("make", [lambda o: StepLR(o, 1, 0.5), lambda o: CyclicLR(o, 0.1, 1.0, 3), Halves])
def test_recorded_steps_follow(make):
    """Plain SGD moves by rate times gradient, and with momentum by what the cells say."""
    x = dl.Parameter(np.zeros(2))
    optimizer = optim.SGD([x], lr=1.0, momentum=0.9)
    schedule, step = make(optimizer), dl.record(optimizer.step)
    x.grad = np.ones(2)
    velocity, expected = 0.0, 0.0
    for _ in range(8):
        group = optimizer.param_groups[0]
        velocity = group["momentum"] * velocity + 1
        expected -= group["lr"] * velocity
        step()
        np.testing.assert_allclose(x.numpy(), expected)
        schedule.step()
    assert sum(map(len, step.recordings.values())) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda o: ExponentialLR(o, 0.9),
        lambda o: CosineAnnealingWarmRestarts(o, 3),
        lambda o: ChainedScheduler([StepLR(o, 3)]),
        lambda o: SequentialLR(o, [StepLR(o, 3)], []),
        ReduceLROnPlateau,
    ],
)
def test_not_inside_a_recorded_step(make):
    schedule = make(make_optimizer())
    before = schedule.state_dict()
    arguments = [1.0] if isinstance(schedule, ReduceLROnPlateau) else []
    with pytest.raises(RuntimeError, match=f"{type(schedule).__name__}.step: called while recording"):
        dl.record(lambda: schedule.step(*arguments))()
    assert schedule.state_dict() == before


# state


class Decay:
    """A function with attributes."""

    def __init__(self, gamma):
        self.gamma = gamma

    def __call__(self, t):
        return self.gamma**t


def sequence(optimizer, gamma):
    parts = [ConstantLR(optimizer, 0.5, 9), ChainedScheduler([StepLR(optimizer, 2), ExponentialLR(optimizer, gamma)])]
    return SequentialLR(optimizer, parts, [4])


@pytest.mark.parametrize(
    "make",
    [
        lambda o, gamma: StepLR(o, 2, gamma),
        lambda o, gamma: MultiStepLR(o, range(0, 10, int(10 * gamma)), gamma),
        lambda o, gamma: LambdaLR(o, [Decay(gamma), math.exp]),
        lambda o, gamma: MultiplicativeLR(o, Decay(gamma)),
        lambda o, gamma: CosineAnnealingWarmRestarts(o, int(10 * gamma)),
        lambda o, gamma: CyclicLR(o, 0.1, 1.0, 3, scale_fn=Decay(gamma)),
        lambda o, gamma: OneCycleLR(o, 1.0, 20, three_phase=gamma == 0.5),
        sequence,
    ],
)
def test_state(make):
    """A schedule goes on in another, made with other settings; the state survives a file."""
    one = make(make_optimizer(momentum=0.9), 0.5)
    rates(one, 5)
    state = json.loads(json.dumps(one.state_dict()))
    other = make(make_optimizer(momentum=0.9), 0.2)
    other.load_state_dict(state)
    other.optimizer.load_state_dict(one.optimizer.state_dict())
    expected = rates(one, 5)
    assert rates(other, 5) == expected
    assert json.loads(json.dumps(state)) == state and state != one.state_dict()


def test_plateau_state():
    one, other = (ReduceLROnPlateau(make_optimizer(), patience=2) for _ in range(2))
    for schedule, figures in ((one, [1, 2, 2]), (other, [])):
        for figure in figures:
            schedule.step(figure)
    other.load_state_dict(one.state_dict())
    other.step(2)
    assert other.get_last_lr() == [0.1 * 0.1, 0.1]


def test_a_state_that_does_not_fit():
    schedule = StepLR(make_optimizer(), 2)
    before = schedule.state_dict()
    alone = StepLR(optim.SGD([dl.zeros(1).requires_grad_()]), 5)
    with pytest.raises(ValueError, match="StepLR: load_state_dict: base_lrs: got 1 items, expected 2"):
        schedule.load_state_dict(alone.state_dict())
    assert schedule.state_dict() == before


# bad arguments


@pytest.mark.parametrize(
    "make, error, text",
    [
        (lambda o: StepLR(o, 0), ValueError, "StepLR: step_size: got 0, expected at least 1"),
        (lambda o: StepLR(o, 1.5), TypeError, "float"),
        (lambda o: MultiStepLR(o, [1, "2"]), TypeError, "str"),
        (lambda o: ConstantLR(o, 1.5), ValueError, "ConstantLR: factor: got 1.5"),
        (lambda o: ConstantLR(o, total_iters=0), ValueError, "ConstantLR: total_iters: got 0"),
        (lambda o: LinearLR(o, 0), ValueError, "LinearLR: start_factor: got 0"),
        (lambda o: LinearLR(o, end_factor=2), ValueError, "LinearLR: end_factor: got 2"),
        (lambda o: LinearLR(o, total_iters=0), ValueError, "LinearLR: total_iters: got 0"),
        (lambda o: PolynomialLR(o, 0), ValueError, "PolynomialLR: total_iters: got 0"),
        (lambda o: CosineAnnealingLR(o, 0), ValueError, "CosineAnnealingLR: T_max: got 0"),
        (lambda o: CosineAnnealingWarmRestarts(o, 0), ValueError, "T_0: got 0"),
        (lambda o: CosineAnnealingWarmRestarts(o, 3, 0), ValueError, "T_mult: got 0"),
        (lambda o: CosineAnnealingWarmRestarts(o, 3).step(-1), ValueError, "step: epoch: got -1"),
        (lambda o: LambdaLR(o, 0.5), TypeError, "LambdaLR: lr_lambda: got float, expected a function"),
        (lambda o: MultiplicativeLR(o, [abs]), ValueError, "lr_lambda: got 1 values, expected one for each of 2"),
        (lambda o: CyclicLR(o, 0.1, 1, 0), ValueError, "CyclicLR: step_size_up: got 0"),
        (lambda o: CyclicLR(o, 0.1, 1, step_size_down=-1), ValueError, "CyclicLR: step_size_down: got -1"),
        (lambda o: CyclicLR(o, 0.1, 1, mode="saw"), ValueError, "CyclicLR: mode: got 'saw'"),
        (lambda o: CyclicLR(o, 0.1, 1, scale_mode="step"), ValueError, "CyclicLR: scale_mode: got 'step'"),
        (lambda o: CyclicLR(o, [0.1], 1), ValueError, "CyclicLR: base_lr: got 1 values"),
        (lambda o: OneCycleLR(o, 0.1, 0), ValueError, "total_steps: got 0"),
        (lambda o: OneCycleLR(o, 0.1, epochs=3), ValueError, "expected total_steps, or epochs"),
        (lambda o: OneCycleLR(o, 0.1, 3, pct_start=2), ValueError, "pct_start: got 2"),
        (lambda o: OneCycleLR(o, 0.1, 3, anneal_strategy="log"), ValueError, "anneal_strategy: got 'log'"),
        (lambda o: OneCycleLR(o, 0.1, 3, max_momentum=[1, 2, 3]), ValueError, "max_momentum: got 3 values"),
        (lambda o: ReduceLROnPlateau(o, "best"), ValueError, "ReduceLROnPlateau: mode: got 'best'"),
        (lambda o: ReduceLROnPlateau(o, factor=1.0), ValueError, "ReduceLROnPlateau: factor: got 1.0"),
        (lambda o: ReduceLROnPlateau(o, threshold_mode="log"), ValueError, "threshold_mode: got 'log'"),
        (lambda o: ReduceLROnPlateau(o, min_lr=[1]), ValueError, "min_lr: got 1 values"),
        (lambda o: ChainedScheduler([]), ValueError, "ChainedScheduler: schedulers: got none"),
        (lambda o: ChainedScheduler([3]), TypeError, r"ChainedScheduler: schedulers\[0\]: got int"),
        (lambda o: ChainedScheduler([ReduceLROnPlateau(o)]), ValueError, "needs a figure at every step"),
        (lambda o: ChainedScheduler([StepLR(o, 1)], make_optimizer()), ValueError, "StepLR is for another optimizer"),
        (lambda o: SequentialLR(o, [StepLR(o, 1)], [3]), ValueError, r"got \[3\] for 1 schedulers, expected 0"),
        (lambda o: SequentialLR(o, [StepLR(o, 1)] * 3, [3, 2]), ValueError, r"milestones: got \[3, 2\]"),
        (lambda o: StepLR([dl.zeros(2)], 3), TypeError, "StepLR: optimizer: got list, expected an Optimizer"),
        (lambda o: ReduceLROnPlateau(None), TypeError, "ReduceLROnPlateau: optimizer: got NoneType"),
        (lambda o: ExponentialLR(o, 0.9, last_epoch=3), KeyError, "initial_lr"),
    ],
)
def test_errors(make, error, text):
    with pytest.raises(error, match=text):
        make(make_optimizer())


def test_a_group_that_was_added():
    schedule = Halves(make_optimizer())
    schedule.optimizer.add_param_group({"params": [dl.zeros(1).requires_grad_()]})
    with pytest.raises(ValueError, match="Halves: got 2 rates for 3 parameter groups; a group that is added"):
        schedule.step()
