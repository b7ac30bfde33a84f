"""The learning-rate range test: what it finds, and that it leaves no trace."""

import numpy as np
import pytest
from training import batches, same, weights

import minidl as dl
from minidl import functional as F
from minidl import nn, optim
from minidl.train import RangeTest, lr_range_test
from minidl.train.range_test import halfway, is_worse, smoothed

# a bowl, whose gradient descent is known


class Bowl(nn.Module):
    """Predicts x times its weight."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(np.array(2.0))

    def forward(self, x):
        return x * self.weight


BATCH = (np.full(4, 3.0), np.zeros(4))  # loss 9 w^2, gradient 18 w: stable below lr 2 / 18


def test_a_bowl():
    model = Bowl()
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    found = lr_range_test(model, optimizer, F.mse_loss, [BATCH], start=1e-5, end=1e3, steps=160)
    w, losses = 2.0, []
    for lr in np.geomspace(1e-5, 1e3, 160)[: len(found.lrs)]:
        losses.append(9 * w * w)
        w -= lr * 18 * w
    np.testing.assert_allclose(found.lrs, np.geomspace(1e-5, 1e3, 160)[: len(found.lrs)])
    expected = [np.mean(losses[max(i - 4, 0) : i + 5]) for i in range(len(losses))]  # 160 / 20 is even: 9
    np.testing.assert_allclose(found.losses, expected, rtol=1e-6)
    assert found.diverged == found.lrs[-1] and 1 / 9 < found.diverged < 30
    assert 1e-4 < found.suggestion < 0.1
    at = np.searchsorted(found.lrs, found.suggestion)
    middle = (found.losses[:9].mean() + found.losses.min()) / 2
    assert found.losses[at] <= middle < found.losses[at - 1]
    assert str(found).startswith(f"suggestion: lr {found.suggestion:.2g}; divergence at {found.diverged:.2g} (")


def test_rates_too_small_to_diverge():
    model = Bowl()
    found = lr_range_test(model, optim.SGD(model.parameters()), F.mse_loss, [BATCH], 1e-9, 1e-8, 10)
    assert found.diverged is None and len(found.lrs) == 10 and "no divergence" in str(found)


def test_a_loss_that_is_not_finite():
    model = Bowl()
    optimizer = optim.SGD(model.parameters())
    found = lr_range_test(model, optimizer, lambda y, t: F.log(y).sum(), [(np.full(1, -1.0), np.zeros(1))])
    assert found.diverged == 1e-7 and found.suggestion is None and not len(found.losses)
    assert "never falls; divergence at 1e-07 (0 steps)" in str(found)


def test_the_loss_rises_from_the_start():
    model = Bowl()
    found = lr_range_test(model, optim.SGD(model.parameters()), F.mse_loss, [BATCH], 1, 10, 20)
    assert found.suggestion is None and found.diverged > 1


@pytest.mark.parametrize("losses, worse", [([1, 1, 3.9], False), ([1, 1, 4.1], True), ([-2, -1], False)])
def test_four_times_the_best(losses, worse):
    assert is_worse(losses, 1) == worse


def test_smoothing():
    np.testing.assert_allclose(smoothed([3.0, 0, 0, 3, 6], 3), [1.5, 1, 1, 3, 4.5])
    assert halfway(np.arange(5), np.array([8, 8, 5, 3, 2.0]), 1) == 2


# no trace


def training(seed=0, optimizer=optim.Adam):
    dl.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    model[3].requires_grad_(False)
    return model, optimizer([{"params": model[0].parameters()}, {"params": model[1].parameters(), "lr": 0.1}], lr=0.05)


def train(model, optimizer, steps):
    for _, (x, y) in zip(range(steps), batches(), strict=False):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


@pytest.mark.parametrize("kind", [optim.Adam, lambda *args, **kwargs: optim.SGD(*args, **kwargs, momentum=0.9)])
@pytest.mark.parametrize("steps", [0, 3])
def test_everything_is_put_back(kind, steps):
    (model, optimizer), (other, reference) = training(optimizer=kind), training(optimizer=kind)
    for pair in ((model, optimizer), (other, reference)):
        train(*pair, steps)
        pair[0][0].weight.grad = np.ones((8, 2))
        pair[0][0].bias.grad = None
        pair[0][1].eval()
    before, settings = weights(model), str(optimizer)
    found = lr_range_test(model, optimizer, F.cross_entropy, batches(), steps=40)
    assert len(found.lrs) > 20
    assert same(weights(model), before) and str(optimizer) == settings
    assert [module.training for module in model.modules()] == [True, True, False, True, True]
    for name, parameter in other.named_parameters():
        mine = dict(model.named_parameters())[name]
        assert (mine.grad is None) == (parameter.grad is None), name
        assert mine.grad is None or (mine.grad.numpy() == parameter.grad.numpy()).all()
    train(model, optimizer, 3)
    train(other, reference, 3)
    assert same(weights(model), weights(other))


def test_everything_is_put_back_after_an_error():
    model, optimizer = training()
    before = weights(model)
    calls = []

    def loss(output, target):
        calls.append(1)
        if len(calls) > 1:  # the second kind of batch
            raise KeyError("mine")
        return F.cross_entropy(output, target)

    x, y = np.ones((4, 2), "float32"), np.array([0, 1, 0, 1])
    with pytest.raises(KeyError, match="mine"):
        lr_range_test(model, optimizer, loss, [(x, y), (x[:3], y[:3])], start=1, steps=5)
    assert same(weights(model), before) and optimizer.param_groups[0]["lr"] == 0.05


def test_plot(tmp_path):
    pytest.importorskip("matplotlib")
    found = RangeTest(np.geomspace(1e-3, 1, 4), np.array([2.0, 1, 1, 5]), 0.01, None)
    found.plot(tmp_path / "range.png")
    assert (tmp_path / "range.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "options, error, text",
    [
        ({"start": 0}, ValueError, "start, end: got 0, 10.0, expected 0 < start < end"),
        ({"start": 1, "end": 1}, ValueError, "start, end: got 1, 1"),
        ({"end": float("inf")}, ValueError, "start, end: got 1e-07, inf"),
        ({"steps": 2}, ValueError, "steps: got 2, expected at least 3"),
        ({"loader": iter([BATCH])}, TypeError, "loader: got list_iterator, expected a DataLoader or a list"),
        ({"loader": []}, ValueError, "loader: got no batches in pass 1"),
    ],
)
def test_errors(options, error, text):
    model = Bowl()
    with pytest.raises(error, match=f"lr_range_test: {text}"):
        lr_range_test(**{"model": model, "optimizer": optim.SGD(model.parameters()), "loss_fn": F.mse_loss,
                         "loader": [BATCH], **options})  # fmt: skip
