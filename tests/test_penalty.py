"""Penalties as terms of a loss: beside weight decay and closed forms, threads, training, bad arguments.

Values, gradients and replay are checked from the declarations in `ops/penalty.py`.
"""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn, optim

NAN = float("nan")
PENALTIES = {
    "l1": lambda p: F.l1_penalty(p, 0.3),
    "l2": lambda p: F.l2_penalty(p, 0.3),
    "max norm": lambda p: F.max_norm_penalty(p, 0.5, 0.3),
    "orthogonal": lambda p: F.orthogonal_penalty(p, 0.3),
}


def sample(*shape, dtype="float32"):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def model_of(seed=0):
    dl.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()


@pytest.mark.parametrize("record", [False, True])
def test_l2_is_coupled_weight_decay(record):
    x, labels = sample(8, 6, dtype="float64"), np.arange(8) % 3
    found = []
    for penalty, decay in ((0.1, 0.0), (0.0, 0.1)):
        model = model_of()
        opt = optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=decay)

        def train_step(x, model=model, opt=opt, penalty=penalty):
            opt.zero_grad()
            loss = F.cross_entropy(model(x), labels) + F.l2_penalty(model.parameters(), penalty)
            loss.backward()
            opt.step()

        step = dl.record(train_step) if record else train_step
        for _ in range(5):
            step(x)
        found.append([p.numpy().copy() for p in model.parameters()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_gradients_are_added_to_those_of_the_loss():
    model, x = model_of(), sample(4, 6, dtype="float64")
    model(x).sum().backward()
    alone = [p.grad.numpy().copy() for p in model.parameters()]
    model.zero_grad()
    (model(x).sum() + 2.0 * F.l1_penalty(model.parameters(), 0.3)).backward()
    for p, gradient in zip(model.parameters(), alone, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), gradient + 0.6 * np.sign(p.numpy()), rtol=1e-13)


def test_where_penalties_are_flat():
    """At 0, within the ball and at orthogonal matrices there is nothing to pull."""
    zero = dl.tensor(np.zeros((2, 3)), requires_grad=True)
    within = dl.tensor(np.array([[0.3, 0.4], [0.0, 0.0], [3.0, 4.0]]), requires_grad=True)
    tall = dl.tensor(np.linalg.qr(sample(7, 4, dtype="float64"))[0], requires_grad=True)
    wide = dl.tensor(tall.numpy().T.copy(), requires_grad=True)
    loss = F.l1_penalty(zero, 1.0) + F.max_norm_penalty(within, 0.5, 2.0) + F.orthogonal_penalty([tall, wide], 1.0)
    loss.backward()
    assert loss.item() == pytest.approx(4.5**2)
    assert not zero.grad.numpy().any()
    np.testing.assert_allclose(within.grad.numpy(), [[0, 0], [0, 0], [5.4, 7.2]], rtol=1e-14)
    np.testing.assert_allclose(tall.grad.numpy(), 0, atol=1e-14)
    np.testing.assert_allclose(wide.grad.numpy(), 0, atol=1e-14)


def test_sums_are_made_in_float64():
    x = np.full(2**20, 0.1, "float32")
    assert F.l1_penalty(x, 1.0).item() == np.float32(np.float64(x[0]) * 2**20)


@pytest.mark.parametrize("kind", PENALTIES)
def test_large_tensors_on_any_number_of_threads(kind):
    arrays = [sample(300, 401), sample(401, 300)]
    found = []
    for threads in (1, 2):
        dl.set_num_threads(threads)
        tensors = [dl.tensor(array, requires_grad=True) for array in arrays]
        loss = PENALTIES[kind](tensors)
        loss.backward()
        found.append([loss.numpy(), *(x.grad.numpy() for x in tensors)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    exact = [dl.tensor(array.astype("float64"), requires_grad=True) for array in arrays]
    loss = PENALTIES[kind](exact)
    loss.backward()
    for one, other in zip(found[0], [loss.numpy(), *(x.grad.numpy() for x in exact)], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(other).max())


def test_what_they_do_to_weights():
    """L1 makes zeros, max-norm a ball, orthogonality a rotation."""
    w = {kind: nn.Parameter(sample(4, 4)) for kind in PENALTIES}
    opt = optim.SGD(w.values(), lr=0.1)

    def train_step():
        opt.zero_grad()
        loss = F.l1_penalty(w["l1"], 0.1) + F.l2_penalty(w["l2"], 0.1) + F.max_norm_penalty(w["max norm"], 1.0, 1.0)
        (loss + F.orthogonal_penalty(w["orthogonal"], 0.3)).backward()
        opt.step()

    step = dl.record(train_step)
    for _ in range(400):
        step()
    assert np.abs(w["l1"].numpy()).max() < 0.02
    np.testing.assert_allclose(w["l2"].numpy(), 0.99**400 * sample(4, 4), rtol=1e-4)
    assert np.linalg.norm(w["max norm"].numpy(), axis=1).max() == pytest.approx(1, abs=1e-4)
    q = w["orthogonal"].numpy()
    np.testing.assert_allclose(q @ q.T, np.eye(4), atol=1e-3)


@pytest.mark.parametrize("kind", PENALTIES)
@pytest.mark.parametrize("recorded", [False, True])
def test_a_nan_is_named(kind, recorded):
    w = nn.Parameter(sample(3, 4))

    def step():
        PENALTIES[kind](w * 1.0).backward()

    run = dl.record(step) if recorded else step
    run()
    w.array[1, 2] = NAN
    with pytest.raises(FloatingPointError, match="the tensor to differentiate is NaN"):
        run()


def test_frozen_and_repeated_parameters():
    a, b = dl.tensor(sample(3, 4), requires_grad=True), dl.tensor(sample(2, 4))
    for penalty in PENALTIES.values():
        a.grad = None
        penalty([a, b]).backward()
        once = a.grad.numpy().copy()
        a.grad = None
        penalty([a, b, a]).backward()
        np.testing.assert_array_equal(a.grad.numpy(), 2 * once)
        assert b.grad is None
        with dl.no_grad():
            assert not penalty([a, b]).requires_grad


W = sample(3, 3)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: F.l1_penalty(W, -0.1), ValueError, "l1_penalty: weight: got -0.1, expected a finite number >= 0"),
        (lambda: F.l2_penalty(W, NAN), ValueError, "l2_penalty: weight: got nan"),
        (lambda: F.l2_penalty(W, float("inf")), ValueError, "l2_penalty: weight: got inf"),
        (lambda: F.max_norm_penalty(W, -1, 0.1), ValueError, "max_norm_penalty: max_norm: got -1, expected a finite"),
        (lambda: F.max_norm_penalty(W, 1, -2), ValueError, "max_norm_penalty: weight: got -2"),
        (lambda: F.orthogonal_penalty(W, NAN), ValueError, "orthogonal_penalty: weight: got nan"),
        (lambda: F.l1_penalty([], 0.1), ValueError, "l1_penalty: parameters: got none .*expected at least one"),
        (lambda: F.l2_penalty((p for p in ()), 0.1), ValueError, "l2_penalty: parameters: got none"),
        (lambda: F.orthogonal_penalty([W, W[0]], 1), ValueError, r"tensor 1 has shape \(3,\), expected two dimensions"),
        (lambda: F.orthogonal_penalty(dl.tensor(1.0), 1), ValueError, r"tensor 0 has shape \(\), expected two"),
        (lambda: F.l1_penalty([W, W.astype("float64")], 1), TypeError, "tensor 1 is float64, expected float32 as of"),
        (lambda: F.l1_penalty(np.arange(3), 1), TypeError, "l1_penalty: parameters: tensor 0 is int64, expected float"),
    ],
)
def test_bad_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call()
