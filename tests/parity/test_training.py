"""Optimizers step by step, and whole training runs, next to PyTorch's."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn, optim

torch = pytest.importorskip("torch", reason="parity tests need torch: pip install torch")

OPTIMIZERS = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd with decay": ("SGD", {"lr": 0.1, "weight_decay": 0.01}),
    "momentum": ("SGD", {"lr": 0.05, "momentum": 0.9}),
    "dampening": ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.5}),
    "nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {"lr": 0.005}),
    "adam with decay": ("Adam", {"lr": 0.005, "weight_decay": 0.01}),
    "amsgrad": ("Adam", {"lr": 0.005, "amsgrad": True, "betas": (0.8, 0.95)}),
    "adamw": ("AdamW", {"lr": 0.005, "weight_decay": 0.05}),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_hundred_steps_in_float64(name):
    kind, settings = OPTIMIZERS[name]
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal((7, 5)), rng.standard_normal((100, 7, 5))
    ours, theirs = dl.Parameter(start), torch.nn.Parameter(torch.tensor(start))
    mine, other = getattr(optim, kind)([ours], **settings), getattr(torch.optim, kind)([theirs], **settings)
    for g in gradients:
        ours.grad, theirs.grad = g, torch.tensor(g)
        mine.step()
        other.step()
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("order", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("threshold", [0.1, 1000.0])
def test_clip_grad_norm(order, threshold):
    rng = np.random.default_rng(0)
    gradients = [rng.standard_normal((30, 40)), rng.standard_normal(3)]
    ours = [dl.Parameter(np.zeros_like(g)) for g in gradients]
    theirs = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in gradients]
    for p, q, g in zip(ours, theirs, gradients, strict=True):
        p.grad, q.grad = g, torch.tensor(g)
    norm = nn.utils.clip_grad_norm_(ours, threshold, order)
    expected = torch.nn.utils.clip_grad_norm_(theirs, threshold, order)
    assert float(norm) == pytest.approx(float(expected), rel=1e-12)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adam", "adamw"])
def test_a_hundred_training_steps_give_the_same_loss_curve(name):
    kind, settings = OPTIMIZERS[name]
    dl.manual_seed(0)
    ours = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    theirs = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    theirs.load_state_dict({key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()})
    mine = getattr(optim, kind)(ours.parameters(), **settings)
    other = getattr(torch.optim, kind)(theirs.parameters(), **settings)

    @dl.record
    def step(x, y):
        mine.zero_grad()
        loss = F.cross_entropy(ours(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(ours.parameters(), 1.0)
        mine.step()
        return loss

    rng = np.random.default_rng(0)
    curve, expected = [], []
    for _ in range(100):
        x, y = rng.standard_normal((32, 64)).astype("float32"), rng.integers(0, 10, 32)
        curve.append(float(step(x, y)))
        other.zero_grad()
        loss = torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(y))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        other.step()
        expected.append(loss.item())
    np.testing.assert_allclose(curve, expected, rtol=1e-4)


@pytest.mark.parametrize(
    "kind, settings",
    [("SGD", {}), ("SGD", {"momentum": 0.9}), ("Adam", {}), ("Adam", {"amsgrad": True}), ("AdamW", {})],
)
def test_optimizers_go_on_from_pytorchs_state(kind, settings):
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal(7), rng.standard_normal((5, 7))
    theirs = torch.nn.Parameter(torch.tensor(start))
    other = getattr(torch.optim, kind)([theirs], lr=0.1, **settings)

    def step(gradient):
        theirs.grad = torch.tensor(gradient)
        other.step()

    for gradient in gradients[:3]:
        step(gradient)
    ours = dl.Parameter(theirs.detach().numpy())
    mine = getattr(optim, kind)([ours])
    mine.load_state_dict(other.state_dict())
    for gradient in gradients[3:]:
        step(gradient)
        ours.grad = gradient
        mine.step()
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-12)
