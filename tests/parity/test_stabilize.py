"""Clips, norms and decays next to PyTorch's."""

import numpy as np
import pytest

import minidl as dl
from minidl import nn, optim, stabilize

torch = pytest.importorskip("torch", reason="parity tests need torch: pip install torch")

SHAPES = [(40, 500), (40,), (6, 5, 3, 3), ()]


def twins(scale=1.0, seed=0):
    """The same parameters and gradients in both libraries."""
    rng = np.random.default_rng(seed)
    ours, theirs = [], []
    for shape in SHAPES:
        x, g = rng.standard_normal(shape), scale * rng.standard_normal(shape)
        ours.append(dl.Parameter(x))
        ours[-1].grad = g
        theirs.append(torch.nn.Parameter(torch.tensor(x)))
        theirs[-1].grad = torch.tensor(g)
    return ours, theirs


def expect_equal_gradients(ours, theirs):
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("order", [0.5, 1, 2, 3, float("inf")])
@pytest.mark.parametrize("scale", [0.0, 0.01, 1.0, 100.0])
def test_norms_and_clips(order, scale):
    ours, theirs = twins(scale)
    stabilize.ClipParameterNorm(ours, 1.5, order)()
    for q in theirs:
        torch.nn.utils.clip_grad_norm_([q], 1.5, order)
    expect_equal_gradients(ours, theirs)

    ours, theirs = twins(scale)
    norm = nn.utils.get_total_norm([p.grad for p in ours], order)
    total = torch.nn.utils.get_total_norm([q.grad for q in theirs], order)
    assert float(norm) == pytest.approx(float(total), rel=1e-12)
    nn.utils.clip_grads_with_norm_(ours, 1.5, norm)
    torch.nn.utils.clip_grads_with_norm_(theirs, 1.5, total)
    expect_equal_gradients(ours, theirs)


@pytest.mark.parametrize(
    ("name", "settings", "decay"),
    [
        ("SGD", {"momentum": 0.9}, lambda o, ps: stabilize.L2Decay(ps, 0.1)),
        ("RMSprop", {}, lambda o, ps: stabilize.L2Decay(ps, 0.1)),
        ("AdamW", {}, lambda o, ps: stabilize.WeightDecay(o, 0.1)),
    ],
)
def test_decays_in_front_of_a_step(name, settings, decay):
    ours, theirs = twins()
    more = {"weight_decay": 0.0} if name == "AdamW" else {}
    optimizer = getattr(optim, name)(ours, lr=0.05, **settings, **more)
    other = getattr(torch.optim, name)(theirs, lr=0.05, weight_decay=0.1, **settings)
    node = decay(optimizer, ours)
    for i in range(100):
        for p, q, r in zip(ours, theirs, twins(seed=i)[0], strict=True):
            p.grad, q.grad = r.grad, torch.tensor(r.grad.numpy())
        node()
        optimizer.step()
        other.step()
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dim", [0, 1])
def test_max_norm_is_renorm(dim):
    ours, theirs = twins()
    ours, theirs = ours[::2][:2], theirs[::2][:2]
    stabilize.MaxNorm(ours, 4.0, dim)()
    for p, q in zip(ours, theirs, strict=True):  # PyTorch divides by norm + 1e-7
        np.testing.assert_allclose(p.numpy(), torch.renorm(q.detach(), 2, dim, 4.0).numpy(), rtol=1e-6)
