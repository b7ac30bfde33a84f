"""The other optimizers step by step next to PyTorch's, and states that go from one to the other."""

import numpy as np
import pytest

import minidl as dl
from minidl import optim

torch = pytest.importorskip("torch", reason="parity tests need torch: pip install torch")

OPTIMIZERS = {
    "nadam": ("NAdam", {}),
    "nadam betas": ("NAdam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "momentum_decay": 0.1}),
    "nadam decay": ("NAdam", {"lr": 0.05, "weight_decay": 0.1}),
    "nadam decoupled": ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    "nadam maximize": ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "maximize": True}),
    "radam": ("RAdam", {}),
    "radam betas": ("RAdam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3}),
    "radam that never adapts": ("RAdam", {"lr": 0.05, "betas": (0.8, 0.6)}),
    "radam decay": ("RAdam", {"lr": 0.05, "weight_decay": 0.1}),
    "radam decoupled": ("RAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    "radam maximize": ("RAdam", {"lr": 0.05, "weight_decay": 0.1, "maximize": True}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop alpha": ("RMSprop", {"lr": 0.05, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1}),
    "rmsprop momentum": ("RMSprop", {"momentum": 0.9}),
    "rmsprop centered": ("RMSprop", {"centered": True}),
    "rmsprop momentum centered": ("RMSprop", {"momentum": 0.9, "centered": True, "weight_decay": 0.1}),
    "rmsprop maximize": ("RMSprop", {"momentum": 0.9, "weight_decay": 0.1, "maximize": True}),
    "adagrad": ("Adagrad", {}),
    "adagrad lr_decay": ("Adagrad", {"lr": 0.5, "lr_decay": 0.1, "eps": 1e-3, "weight_decay": 0.1}),
    "adagrad initial": ("Adagrad", {"lr": 0.5, "initial_accumulator_value": 2.0}),
    "adagrad maximize": ("Adagrad", {"lr": 0.5, "weight_decay": 0.1, "maximize": True}),
    "adadelta": ("Adadelta", {}),
    "adadelta rho": ("Adadelta", {"lr": 0.5, "rho": 0.7, "eps": 1e-2, "weight_decay": 0.1}),
    "adadelta maximize": ("Adadelta", {"weight_decay": 0.1, "maximize": True}),
    "adamax": ("Adamax", {}),
    "adamax betas": ("Adamax", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-2, "weight_decay": 0.1}),
    "adamax maximize": ("Adamax", {"lr": 0.05, "weight_decay": 0.1, "maximize": True}),
    "lbfgs": ("LBFGS", {"lr": 0.1, "max_iter": 4}),
    "lbfgs wolfe": ("LBFGS", {"max_iter": 4, "line_search_fn": "strong_wolfe"}),
}
SHAPES = [(3,), (30, 20), (5, 1)]


@pytest.fixture(autouse=True)
def float64_in_torch():
    """PyTorch keeps the state's numbers, as NAdam's mu_product, in its default dtype."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Pair:
    """The same optimizer twice, over the same parameters, with other targets in every step.

    L-BFGS needs the same loss all the time.
    """

    def __init__(self, name, shapes):
        kind, settings = OPTIMIZERS[name]
        rng = np.random.default_rng(0)
        self.targets = [[rng.standard_normal(shape) for shape in shapes] for _ in range(1 if kind == "LBFGS" else 10)]
        start = [rng.standard_normal(shape) for shape in shapes]
        self.ours = [dl.Parameter(values) for values in start]
        self.theirs = [torch.nn.Parameter(torch.tensor(values)) for values in start]
        self.mine = getattr(optim, kind)(self.ours, **settings)
        self.other = getattr(torch.optim, kind)(self.theirs, **settings)

    def step(self, i, who):
        optimizer, parameters, tensor = {
            "mine": (self.mine, self.ours, dl.tensor),
            "other": (self.other, self.theirs, torch.tensor),
        }[who]
        targets = [tensor(target) for target in self.targets[i % len(self.targets)]]

        def closure():
            optimizer.zero_grad()
            loss = sum((1 + (p - target) ** 2).sqrt().sum() for p, target in zip(parameters, targets, strict=True))
            loss.backward()
            return loss

        optimizer.step(closure)

    def expect_equal(self, **tolerance):
        for p, q in zip(self.ours, self.theirs, strict=True):
            np.testing.assert_allclose(p.numpy(), q.detach().numpy(), **tolerance)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_hundred_steps(name):
    pair = Pair(name, SHAPES[::2] if "lbfgs" in name else SHAPES)
    for i in range(100):
        pair.step(i, "mine")
        pair.step(i, "other")
    pair.expect_equal(rtol=1e-10, atol=1e-10)


def to_torch(value):
    """A state of ours with tensors for arrays."""
    if isinstance(value, dict):
        return {key: to_torch(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [to_torch(entry) for entry in value]
    return torch.tensor(value) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("first", ["mine", "other"])
def test_a_state_goes_on_in_the_other_library(name, first):
    pair = Pair(name, SHAPES[::2])
    for i in range(7):
        pair.step(i, first)
    for p, q in zip(pair.ours, pair.theirs, strict=True):
        if first == "mine":
            q.data = torch.tensor(p.numpy())
        else:
            p.array[...] = q.detach().numpy()
    if first == "mine":
        pair.other.load_state_dict(to_torch(pair.mine.state_dict()))
    else:
        pair.mine.load_state_dict(pair.other.state_dict())
    for i in range(7, 10):
        pair.step(i, "mine")
        pair.step(i, "other")
    pair.expect_equal(rtol=1e-10, atol=1e-10)
    ours, theirs = pair.mine.state_dict()["state"], pair.other.state_dict()["state"]
    assert [set(entry) for entry in ours.values()] == [set(entry) - {"al"} for entry in theirs.values()]


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def bowl(x):
    return (x**2).sum() * 0.5 + (x**4).sum()


@pytest.mark.parametrize("loss", [bowl, rosenbrock])
@pytest.mark.parametrize(
    "settings",
    [
        {"lr": 1e-3},
        {"lr": 0.5, "history_size": 2},
        {"lr": 0.3, "max_iter": 5, "max_eval": 3},
        {"lr": 0.3, "tolerance_grad": 1.0},
        {"lr": 0.3, "tolerance_change": 1e-2},
        {"line_search_fn": "strong_wolfe"},
        {"lr": 1e-3, "line_search_fn": "strong_wolfe", "max_iter": 3},
        {"lr": 30.0, "line_search_fn": "strong_wolfe", "max_iter": 3, "history_size": 2},
        {"lr": 30.0, "line_search_fn": "strong_wolfe", "max_iter": 4, "max_eval": 2},
        {"line_search_fn": "strong_wolfe", "max_iter": 4, "max_eval": 1},
        {"line_search_fn": "strong_wolfe", "tolerance_change": 0.0, "tolerance_grad": 1e-5},
    ],
)
def test_lbfgs(loss, settings):
    start = np.array([-0.6, 0.8, 1.1, -0.2])
    p, q = dl.Parameter(start), torch.nn.Parameter(torch.tensor(start))
    mine, other = optim.LBFGS([p], **settings), torch.optim.LBFGS([q], **settings)

    def closure(optimizer, x):
        optimizer.zero_grad()
        value = loss(x)
        value.backward()
        return value

    for _ in range(4):
        expected = other.step(lambda: closure(other, q)).item()
        assert float(mine.step(lambda: closure(mine, p))) == pytest.approx(expected, rel=1e-8, abs=1e-10)
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-8, atol=1e-10)
    assert mine.state["func_evals"] == other.state[q]["func_evals"]
    assert mine.state["n_iter"] == other.state[q]["n_iter"]
