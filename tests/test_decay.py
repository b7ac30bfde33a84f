"""Decays as nodes are those of the optimizers."""

import numpy as np
from gradients import set_gradients, weights

import minidl as dl
from minidl import optim, stabilize


def trained(make, decay, steps=30, **settings):
    """Weights after some steps of an optimizer, with a node in front of it."""
    rng = np.random.default_rng(0)
    ps = [dl.Parameter(rng.standard_normal(shape)) for shape in ((30, 20), (5,), ())]
    optimizer = make(ps, **settings)
    node = decay(optimizer, ps)
    for _ in range(steps):
        set_gradients(ps, [rng.standard_normal(p.shape) for p in ps])
        node()
        optimizer.step()
        optimizer.param_groups[0]["lr"] *= 0.9
    return weights(ps)


def test_decays_are_those_of_the_optimizers():
    pairs = [
        (trained(optim.SGD, lambda o, ps: stabilize.L2Decay(ps, 0.1), lr=0.1, momentum=0.9),
         trained(optim.SGD, lambda o, ps: lambda: None, lr=0.1, momentum=0.9, weight_decay=0.1)),
        (trained(optim.Adam, lambda o, ps: stabilize.L2Decay(ps, 0.1), lr=0.1),
         trained(optim.Adam, lambda o, ps: lambda: None, lr=0.1, weight_decay=0.1)),
        (trained(optim.Adam, lambda o, ps: stabilize.WeightDecay(o, 0.1), lr=0.1),
         trained(optim.AdamW, lambda o, ps: lambda: None, lr=0.1, weight_decay=0.1)),
    ]  # fmt: skip
    for ours, theirs in pairs:
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)


def test_weight_decay_follows_groups_and_schedules_in_replays():
    rng = np.random.default_rng(0)
    a, b, c = (dl.Parameter(rng.standard_normal((50, 40))) for _ in range(3))
    optimizer = optim.SGD([{"params": [a], "lr": 0.5}, {"params": [b, c], "lr": 0.0}])
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    node = stabilize.WeightDecay(optimizer, 0.1, [a, b])
    for p in (a, b, c):
        p.grad = np.zeros(p.shape)
    step = dl.record(node)
    before = weights([a, b, c])
    step()
    schedule.step()
    node.rate = 0.2
    step()
    np.testing.assert_allclose(a.numpy(), before[0] * 0.95 * (1 - 0.25 * 0.2), rtol=1e-14)
    np.testing.assert_array_equal(b.numpy(), before[1])
    np.testing.assert_array_equal(c.numpy(), before[2])
    b.grad = None
    optimizer.param_groups[1]["lr"] = 1.0
    step()  # recorded again: b has no gradient
    np.testing.assert_array_equal(b.numpy(), before[1])
