"""Loss scale and averages of weights next to PyTorch's."""

import numpy as np
import pytest

import minidl as dl
from minidl import nn, optim, stabilize

torch = pytest.importorskip("torch", reason="parity tests need torch: pip install torch")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_grad_scaler(dtype):
    rng = np.random.default_rng(0)
    gradients = rng.standard_normal((100, 20)).astype(dtype)
    for i in (3, 30, 31, 77):
        gradients[i, i % 20] = np.inf if i % 2 else np.nan
    start = rng.standard_normal(20).astype(dtype)
    x, y = dl.Parameter(start.copy()), torch.nn.Parameter(torch.tensor(start))
    optimizer, theirs = optim.Adam([x], lr=0.01), torch.optim.Adam([y], lr=0.01)
    settings = dict(init_scale=1024.0, growth_interval=5)
    scaler, other = stabilize.GradScaler(**settings), torch.amp.GradScaler("cpu", **settings)

    @dl.record
    def step(gradient):
        optimizer.zero_grad()
        scaler.scale((x * gradient).sum()).backward(on_nonfinite="ignore")
        scaler.step(optimizer)
        scaler.update()

    tolerance = 1e-5 if dtype == "float32" else 1e-10
    for i, gradient in enumerate(gradients):
        step(gradient)
        theirs.zero_grad()
        other.scale((y * torch.tensor(gradient)).sum()).backward()
        other.step(theirs)
        other.update()
        assert scaler.get_scale() == other.get_scale(), i
        np.testing.assert_allclose(x.numpy(), y.detach().numpy(), rtol=tolerance, atol=tolerance)
        assert scaler.state_dict() == other.state_dict()
    scaler.load_state_dict(other.state_dict())
    other.load_state_dict(scaler.state_dict())
    assert scaler.statistics.acted == 4


def networks():
    ours = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 2)).to("float64")
    theirs = torch.nn.Sequential(
        torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6), torch.nn.Tanh(), torch.nn.Linear(6, 2)
    ).double()
    theirs.load_state_dict({name: torch.tensor(np.array(value)) for name, value in ours.state_dict().items()})
    return ours, theirs


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("decay", [None, 0.9])
def test_weight_average(decay, use_buffers):
    ours, theirs = networks()
    average = stabilize.WeightAverage(ours, decay, use_buffers=use_buffers)
    function = None if decay is None else torch.optim.swa_utils.get_ema_multi_avg_fn(decay)
    other = torch.optim.swa_utils.AveragedModel(theirs, multi_avg_fn=function, use_buffers=use_buffers)
    optimizer = optim.SGD(ours.parameters(), lr=0.1)  # Adam would amplify the rounding of a bias before BatchNorm
    their_optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)

    @dl.record
    def step(x, y):
        optimizer.zero_grad()
        loss = ((ours(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        average()

    rng = np.random.default_rng(0)
    for _ in range(100):
        x, y = rng.standard_normal((8, 4)), rng.standard_normal((8, 2))
        step(x, y)
        their_optimizer.zero_grad()
        ((theirs(torch.tensor(x)) - torch.tensor(y)) ** 2).mean().backward()
        their_optimizer.step()
        other.update_parameters(theirs)
    expected, found = other.state_dict(), average.state_dict()
    assert list(found) and set(found) == set(expected)
    for name, value in expected.items():
        if name.endswith("num_batches_tracked") and use_buffers:  # PyTorch averages integers, and rounds down
            continue
        np.testing.assert_allclose(found[name], value.numpy(), rtol=1e-10, atol=1e-10, err_msg=name)
    average.load_state_dict(expected)
    with average.applied():
        ours.eval()
        other.eval()
        np.testing.assert_allclose(ours(x).numpy(), other(torch.tensor(x)).detach().numpy(), rtol=1e-9, atol=1e-12)
