"""Learning-rate schedules next to PyTorch's: rates, momenta and training for a hundred steps."""

import warnings

import numpy as np
import pytest

import minidl as dl
from minidl import optim

torch = pytest.importorskip("torch", reason="parity tests need torch: pip install torch")
pytestmark = pytest.mark.filterwarnings("ignore:.*lr_scheduler.step:UserWarning")

STEPS = 100
ONE = {
    "step": ("StepLR", {"step_size": 7}),
    "step, gamma": ("StepLR", {"step_size": 1, "gamma": 0.97}),
    "step, gamma 0": ("StepLR", {"step_size": 30, "gamma": 0.0}),
    "multi-step": ("MultiStepLR", {"milestones": [30, 5, 90]}),
    "multi-step, twice": ("MultiStepLR", {"milestones": [0, 10, 10, 50], "gamma": 0.7}),
    "constant": ("ConstantLR", {}),
    "constant, options": ("ConstantLR", {"factor": 0.01, "total_iters": 40}),
    "linear": ("LinearLR", {}),
    "linear, options": ("LinearLR", {"start_factor": 0.001, "end_factor": 0.6, "total_iters": 60}),
    "linear, to 0": ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 99}),
    "exponential": ("ExponentialLR", {"gamma": 0.93}),
    "exponential, up": ("ExponentialLR", {"gamma": 1.03}),
    "polynomial": ("PolynomialLR", {}),
    "polynomial, power": ("PolynomialLR", {"total_iters": 80, "power": 2.5}),
    "polynomial, root": ("PolynomialLR", {"total_iters": 120, "power": 0.5}),
    "cosine": ("CosineAnnealingLR", {"T_max": 100}),
    "cosine, several": ("CosineAnnealingLR", {"T_max": 9, "eta_min": 0.003}),
    "restarts": ("CosineAnnealingWarmRestarts", {"T_0": 8}),
    "restarts, longer": ("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 2, "eta_min": 1e-3}),
    "lambda": ("LambdaLR", {"lr_lambda": lambda t: 0.95**t}),
    "lambda, each": ("LambdaLR", {"lr_lambda": [lambda t: 1 / (t + 1), lambda t: t, lambda t: 1.0]}),
    "multiplicative": ("MultiplicativeLR", {"lr_lambda": lambda t: 0.9 + 0.001 * t}),
    "multiplicative, each": ("MultiplicativeLR", {"lr_lambda": [lambda t: 0.9, lambda t: 1.01, lambda t: 1.0]}),
    "cyclic": ("CyclicLR", {"base_lr": 1e-3, "max_lr": 0.1, "step_size_up": 20}),
    "cyclic, down": ("CyclicLR", {"base_lr": [0.0, 1e-3, 1e-2], "max_lr": [0.1, 0.2, 0.3], "step_size_up": 7,
                                  "step_size_down": 13, "base_momentum": [0.7, 0.6, 0.5], "max_momentum": 0.95}),
    "cyclic, triangular2": ("CyclicLR", {"base_lr": 1e-3, "max_lr": 0.1, "step_size_up": 9, "mode": "triangular2"}),
    "cyclic, exp_range": ("CyclicLR", {"base_lr": 1e-3, "max_lr": 0.1, "step_size_up": 9, "mode": "exp_range",
                                       "gamma": 0.98, "cycle_momentum": False}),
    "cyclic, function": ("CyclicLR", {"base_lr": 1e-3, "max_lr": 0.1, "step_size_up": 9, "scale_fn": lambda n: 1 / n}),
    "cyclic, function of t": ("CyclicLR", {"base_lr": 1e-3, "max_lr": 0.1, "step_size_up": 9, "mode": "triangular2",
                                           "scale_fn": lambda t: 0.99**t, "scale_mode": "iterations"}),
    "one cycle": ("OneCycleLR", {"max_lr": 0.5, "total_steps": 101}),
    "one cycle, epochs": ("OneCycleLR", {"max_lr": [0.5, 0.2, 0.1], "epochs": 7, "steps_per_epoch": 23}),
    "one cycle, linear": ("OneCycleLR", {"max_lr": 0.5, "total_steps": 101, "anneal_strategy": "linear"}),
    "one cycle, three phases": ("OneCycleLR", {"max_lr": 0.5, "total_steps": 101, "three_phase": True}),
    "one cycle, all options": ("OneCycleLR", {
        "max_lr": 0.5, "total_steps": 120, "pct_start": 0.21, "anneal_strategy": "linear", "three_phase": True,
        "base_momentum": [0.8, 0.7, 0.6], "max_momentum": 0.9, "div_factor": 4.0, "final_div_factor": 10.0}),
    "one cycle, no momentum": ("OneCycleLR", {"max_lr": 0.5, "total_steps": 101, "cycle_momentum": False}),
    "one cycle, late": ("OneCycleLR", {"max_lr": 0.5, "total_steps": 101, "pct_start": 0.9}),
}  # fmt: skip


def chained(library, optimizer):
    s = library.lr_scheduler
    parts = [
        s.ConstantLR(optimizer, 0.1, 20),
        s.ExponentialLR(optimizer, 0.98),
        s.CosineAnnealingLR(optimizer, 30, 0.001),
        s.MultiplicativeLR(optimizer, lambda t: 1.001),
        s.PolynomialLR(optimizer, 200, 0.7),
    ]
    return s.ChainedScheduler(parts)


def warm_up(library, optimizer):
    s = library.lr_scheduler
    parts = [s.LinearLR(optimizer, 0.01, total_iters=10), s.CosineAnnealingLR(optimizer, 85)]
    return s.SequentialLR(optimizer, parts, [10])


def one_after_the_other(library, optimizer):
    s = library.lr_scheduler
    parts = [
        s.ConstantLR(optimizer, 0.3, 100),
        s.StepLR(optimizer, 3, 0.8),
        s.MultiplicativeLR(optimizer, lambda t: 1.05 - 0.01 * t),
        s.CosineAnnealingWarmRestarts(optimizer, 6),
        s.LambdaLR(optimizer, lambda t: 1 / (1 + t)),
        s.PolynomialLR(optimizer, 9),
    ]
    return s.SequentialLR(optimizer, parts, [4, 20, 40, 66, 80])


def cycle_behind_a_warm_up(library, optimizer):
    s = library.lr_scheduler
    parts = [s.LinearLR(optimizer, 0.1), s.OneCycleLR(optimizer, 0.3, 100)]
    return s.SequentialLR(optimizer, parts, [5])


def second_from_the_start(library, optimizer):
    s = library.lr_scheduler
    return s.SequentialLR(optimizer, [s.ConstantLR(optimizer), s.ExponentialLR(optimizer, 0.9)], [0])


def chain_behind_nothing(library, optimizer):
    s = library.lr_scheduler
    chain = s.ChainedScheduler([s.StepLR(optimizer, 9, 0.5), s.ConstantLR(optimizer, 0.1, 20)], optimizer)
    return s.SequentialLR(optimizer, [chain, s.ExponentialLR(optimizer, 0.9)], [50])


SEVERAL = [chained, warm_up, one_after_the_other, cycle_behind_a_warm_up, second_from_the_start, chain_behind_nothing]


def make(library, parameter, kind, start=None):
    """An optimizer of three groups; the first two have rates of their own."""
    settings = {"momentum": 0.9} if kind == "SGD" else {"betas": (0.8, 0.99)}
    groups = [{"params": [parameter()], **rate} for rate in ({"lr": 0.2}, {"lr": 1.0}, {})]
    return getattr(library, kind)(groups, lr=0.1, **settings)


def compare(schedule, kind):
    """Rates, momenta and parameters of `schedule(library, optimizer)` in both libraries, by a recorded step here."""
    start = np.arange(1.0, 4.0)
    mine = make(optim, lambda: dl.Parameter(start), kind)
    other = make(torch.optim, lambda: torch.nn.Parameter(torch.tensor(start)), kind)
    found, expected = schedule(optim, mine), schedule(torch.optim, other)
    step = dl.record(mine.step)  # reads the groups anew at every call
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        ours = [group["lr"] for group in mine.param_groups]
        theirs = [group["lr"] for group in other.param_groups]
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-18)
        assert found.get_last_lr() == ours
        for one, two in zip(mine.param_groups, other.param_groups, strict=True):
            key = "momentum" if kind == "SGD" else "betas"
            np.testing.assert_allclose(one[key], two[key], rtol=1e-10)
            one["params"][0].grad = gradient = rng.standard_normal(3)
            two["params"][0].grad = torch.tensor(gradient)
        step()
        other.step()
        for one, two in zip(mine.param_groups, other.param_groups, strict=True):
            result = two["params"][0].detach().numpy()
            np.testing.assert_allclose(one["params"][0].numpy(), result, rtol=1e-10, atol=1e-10 * np.abs(result).max())
        found.step()
        expected.step()
    assert len(step.recordings) == 1 and len(next(iter(step.recordings.values()))) == 1


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", ONE)
def test_a_hundred_steps(name, kind):
    schedule, options = ONE[name]
    compare(lambda library, optimizer: getattr(library.lr_scheduler, schedule)(optimizer, **options), kind)


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("schedule", SEVERAL, ids=lambda schedule: schedule.__name__)
def test_several_schedules(schedule, kind):
    compare(schedule, kind)


@pytest.mark.parametrize("name", [name for name in ONE if hasattr(getattr(optim.lr_scheduler, ONE[name][0]), "share")])
def test_chained_and_closed_form_agree(name):
    """PyTorch's closed form, asked by ``step(epoch)``, next to our products of factors."""
    schedule, options = ONE[name]
    mine = make(optim, lambda: dl.Parameter(np.ones(3)), "SGD")
    other = make(torch.optim, lambda: torch.nn.Parameter(torch.ones(3)), "SGD")
    found = getattr(optim.lr_scheduler, schedule)(mine, **options)
    expected = getattr(torch.optim.lr_scheduler, schedule)(other, **options)
    for t in range(STEPS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected.step(t)
        np.testing.assert_allclose(found.get_last_lr(), expected.get_last_lr(), rtol=1e-10, atol=1e-18)
        found.step()


@pytest.mark.parametrize("last_epoch", [0, 6, 33])
@pytest.mark.parametrize("name", ONE)
def test_going_on_from_a_last_epoch(name, last_epoch):
    """From groups as they stand in a loaded optimizer."""
    schedule, options = ONE[name]
    if options.get("gamma") == 0 and last_epoch > 30:
        pytest.skip("the groups' rates would be 0")
    if schedule == "StepLR" and (last_epoch + 1) % options["step_size"] == 0:
        pytest.skip("PyTorch 2.13 makes the due step of StepLR at once, as it says that it would not")
    if options.get("T_mult", 1) > 1 and last_epoch > 4:
        pytest.skip("PyTorch 2.13 forgets how long a period has grown")
    optimizers = []
    for library, parameter in ((optim, dl.Parameter), (torch.optim, lambda x: torch.nn.Parameter(torch.tensor(x)))):
        optimizer = make(library, lambda parameter=parameter: parameter(np.ones(3)), "SGD")
        begun = np.broadcast_to(options.get("base_lr", [0.02, 0.04, 0.06]), 3).tolist()
        for group, rate in zip(optimizer.param_groups, begun, strict=True):
            group.update(initial_lr=rate, max_lr=0.5, min_lr=1e-5, base_momentum=0.8, max_momentum=0.9)
        optimizers.append(optimizer)
    found, expected = (
        getattr(library.lr_scheduler, schedule)(optimizer, **options, last_epoch=last_epoch)
        for library, optimizer in zip((optim, torch.optim), optimizers, strict=True)
    )
    for _ in range(STEPS - last_epoch):
        np.testing.assert_allclose(found.get_last_lr(), expected.get_last_lr(), rtol=1e-10, atol=1e-18)
        assert found.last_epoch == expected.last_epoch
        found.step()
        expected.step()


@pytest.mark.parametrize("options", [{"T_0": 4}, {"T_0": 3, "T_mult": 2}, {"T_0": 7, "T_mult": 3, "eta_min": 0.01}])
def test_restarts_in_fractions_of_an_epoch(options):
    mine = make(optim, lambda: dl.Parameter(np.ones(3)), "SGD")
    other = make(torch.optim, lambda: torch.nn.Parameter(torch.ones(3)), "SGD")
    found = optim.lr_scheduler.CosineAnnealingWarmRestarts(mine, **options)
    expected = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(other, **options)
    for position in [*np.arange(0, 25, 0.37), None, None, 3, None, 26.5, *[None] * 30]:
        found.step(position)
        expected.step(position)
        np.testing.assert_allclose(found.get_last_lr(), expected.get_last_lr(), rtol=1e-10)
        assert (found.last_epoch, found.T_i) == (expected.last_epoch, expected.T_i)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 3},
        {"patience": 0, "factor": 0.5, "cooldown": 2},
        {"mode": "max", "patience": 1, "threshold": 0.05},
        {"mode": "max", "patience": 1, "threshold": 0.05, "threshold_mode": "abs"},
        {"patience": 2, "threshold": 0.2, "threshold_mode": "abs", "min_lr": 0.01},
        {"patience": 0, "min_lr": [0.1, 0.2, 0.001], "eps": 0.005, "factor": 0.7},
    ],
)
def test_plateau(options):
    mine = make(optim, lambda: dl.Parameter(np.ones(3)), "SGD")
    other = make(torch.optim, lambda: torch.nn.Parameter(torch.ones(3)), "SGD")
    found = optim.lr_scheduler.ReduceLROnPlateau(mine, **options)
    expected = torch.optim.lr_scheduler.ReduceLROnPlateau(other, **options)
    rng = np.random.default_rng(0)
    figures = 2 * np.exp(-np.arange(STEPS) / 20) + 0.2 * rng.standard_normal(STEPS)
    figures[17] = np.nan
    for figure in figures:
        found.step(dl.tensor(figure))
        expected.step(torch.tensor(figure, dtype=torch.float32))
        np.testing.assert_allclose(found.get_last_lr(), expected.get_last_lr(), rtol=1e-10)
        assert found.num_bad_epochs == expected.num_bad_epochs
    assert found.get_last_lr() != [0.2, 1.0, 0.1]  # something was reduced
