"""Pascanu et al. (2013)'s penalty against autograd of PyTorch, with the signal as a constant."""

import numpy as np
import pytest

from minidl import nn

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_norm_penalty(nonlinearity, reverse):
    T, B, features, H = 6, 3, 4, 5
    rng = np.random.default_rng(1)
    x, dy = rng.standard_normal((T, B, features)), rng.standard_normal((T, B, H))
    layer = nn.RNN(features, H, nonlinearity=nonlinearity, bidirectional=reverse, norm_penalty=0.7, dtype="float64")
    with_penalty = weight_gradient(layer, x, dy, reverse)
    layer.norm_penalty = None
    got = with_penalty - weight_gradient(layer, x, dy, reverse)
    np.testing.assert_allclose(got, 0.7 * reference(layer, x, dy, nonlinearity, reverse), rtol=1e-10, atol=1e-14)


def weight_gradient(layer, x, dy, reverse):
    layer.zero_grad()
    y, _ = layer(x)
    (y[..., -dy.shape[-1] :] * dy).sum().backward()
    return weights(layer, reverse)["weight_hh"].grad.numpy().copy()


def weights(layer, reverse):
    suffix = "_l0_reverse" if reverse else "_l0"
    return {name: getattr(layer, name + suffix) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}


def reference(layer, x, dy, nonlinearity, reverse):
    """Gradient of the penalty, step by step."""
    w = {name: torch.tensor(p.detach().numpy()) for name, p in weights(layer, reverse).items()}
    w_hh = w["weight_hh"].requires_grad_()
    h, loss, a, slopes = torch.zeros(dy.shape[1:], dtype=torch.float64), 0, [], []
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        a.append(torch.tensor(x[t]) @ w["weight_ih"].T + w["bias_ih"] + w["bias_hh"] + h @ w_hh.T)
        a[-1].retain_grad()
        h = torch.relu(a[-1]) if nonlinearity == "relu" else torch.tanh(a[-1])
        slopes.append((h > 0).double() if nonlinearity == "relu" else 1 - h**2)
        loss = loss + (h * torch.tensor(dy[t])).sum()
    loss.backward()
    w_hh.grad = None
    penalty = 0
    for k in range(len(x) - 1):
        signal = a[k + 1].grad
        carried = ((signal @ w_hh) * slopes[k].detach()).norm(dim=1)
        penalty = penalty + ((carried / signal.norm(dim=1) - 1) ** 2).mean()
    penalty.backward()
    return w_hh.grad.numpy()


def test_a_signal_that_has_nearly_vanished():
    """The penalty is one on a ratio: it is the same for a signal whose square is no float32."""
    rng = np.random.default_rng(1)
    x, dy = rng.standard_normal((4, 2, 3)).astype(np.float32), rng.standard_normal((4, 2, 5)).astype(np.float32)
    layer = nn.RNN(3, 5)
    plain = weight_gradient(layer, x, dy, False)
    layer.norm_penalty = 1.0
    penalty = weight_gradient(layer, x, dy, False) - plain
    tiny = weight_gradient(layer, x, np.float32(1e-25) * dy, False)
    assert np.abs(penalty).max() > 0.01
    np.testing.assert_allclose(tiny, penalty, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_bad_weight(weight):
    layer = nn.RNN(2, 3, norm_penalty=weight)
    with pytest.raises(ValueError, match="norm_penalty: got .* expected a finite number >= 0"):
        layer(np.zeros((2, 1, 2), np.float32))
