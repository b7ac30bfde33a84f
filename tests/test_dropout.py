"""Dropout and random numbers: distribution, seeds, replay, threads, bad input."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl.functional.dropout import AlphaDropout, Dropout

FORMS = [F.dropout, lambda x, p=0.5: F.alpha_dropout(x, p, True), F.feature_dropout]


def ones(*shape, dtype="float64"):
    return dl.tensor(np.ones(shape, dtype), requires_grad=True)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_share_and_scale(p, dtype):
    y = F.dropout(ones(100_000, dtype=dtype), p).numpy()
    kept = y != 0
    assert abs(kept.mean() - (1 - p)) < 4 * np.sqrt(p * (1 - p) / kept.size)
    np.testing.assert_allclose(y[kept], 1 / (1 - p), rtol=1e-6)


def test_neighbours_and_draws_are_independent():
    first, second = (F.dropout(ones(200_000), 0.5).numpy() != 0 for _ in range(2))
    for one, other in [(first, second), (first[1:], first[:-1]), (first[64:], first[:-64]), (first[1:], second[:-1])]:
        assert abs((one == other).mean() - 0.5) < 0.005


def test_gradient_uses_the_mask():
    x = dl.tensor(np.arange(1, 41.0).reshape(2, 4, 5), requires_grad=True)
    for function in FORMS[::2]:
        x.grad = None
        y = function(x, 0.3)
        y.backward(np.full(x.shape, 2.0))
        np.testing.assert_allclose(x.grad.numpy() * x.numpy(), 2 * y.numpy(), rtol=1e-14)


def test_alpha_dropout():
    x = dl.tensor(np.random.default_rng(0).standard_normal(200_000), requires_grad=True)
    y = F.alpha_dropout(x, 0.3, training=True)
    assert abs(y.numpy().mean()) < 0.01
    assert abs(y.numpy().std() - 1) < 0.01
    y.backward(np.ones(x.shape))
    scale = (0.7 * (1 + 0.3 * 1.7580993408473766**2)) ** -0.5
    values, counts = np.unique(y.numpy(), return_counts=True)
    dropped = y.numpy() == values[counts.argmax()]
    np.testing.assert_allclose(x.grad.numpy(), np.where(dropped, 0, scale), rtol=1e-12)


def test_whole_channels():
    y = F.dropout2d(ones(4, 50, 3, 3)).numpy().reshape(200, 9)
    assert ((y == 0).all(1) | (y == 2).all(1)).all()
    assert 60 < (y[:, 0] == 0).sum() < 140
    assert F.dropout2d(ones(50, 3, 3)).numpy().reshape(50, 9).std(1).max() == 0
    assert F.dropout1d(ones(2, 50, 3)).numpy().reshape(100, 3).std(1).max() == 0


@pytest.mark.parametrize("function", FORMS)
def test_certain(function):
    x = ones(3, 4)
    np.testing.assert_array_equal(function(x, 0.0).numpy(), x.numpy())
    y = function(x, 1.0)
    np.testing.assert_array_equal(y.numpy(), 0)
    y.backward(np.ones(x.shape))
    np.testing.assert_array_equal(x.grad.numpy(), 0)


def test_evaluation_gives_the_input_back():
    x = ones(3, 4)
    assert F.dropout(x, training=False) is x
    assert F.alpha_dropout(x) is x
    assert F.dropout2d(ones(1, 1, 1, 1), training=False).numpy() == 1


@pytest.mark.parametrize("function", FORMS)
@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_no_probability(function, p):
    with pytest.raises(ValueError, match="expected 0 <= p <= 1"):
        function(ones(2, 2), p)
    assert F.dropout(ones(2)).shape == (2,)


@pytest.mark.parametrize("function", FORMS)
def test_empty(function):
    x = ones(0, 4)
    y = function(x)
    y.backward(np.ones((0, 4)))
    assert y.shape == x.grad.shape == (0, 4)


def test_integers_are_refused():
    with pytest.raises(TypeError, match="int64"):
        F.dropout(dl.tensor([1, 2]))


def test_nan_stays():
    x = dl.tensor(np.full(20, np.nan))
    assert np.isnan(F.dropout(x).numpy()).all()


@pytest.mark.parametrize("function", [*FORMS, dl.rand_like, dl.randn_like])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_for_any_number_of_threads(function, dtype):
    results = []
    for threads in (1, 2):
        dl.set_num_threads(threads)
        dl.manual_seed(3)
        x = ones(300, 301, dtype=dtype)
        y = function(x)
        if y.requires_grad:
            y.backward(np.ones(x.shape, dtype))
            results.append((y.numpy(), x.grad.numpy()))
        else:
            results.append((y.numpy(),))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("function", [*FORMS, dl.rand_like, dl.randn_like, lambda x: dl.randint(5, 9, x.shape)])
def test_replay_draws_anew_and_equals_eager(function):
    x = ones(20, 30)
    recorded = dl.record(lambda: function(x))
    dl.manual_seed(7)
    replayed = [recorded().numpy().copy() for _ in range(3)]
    dl.manual_seed(7)
    eager = [function(x).numpy() for _ in range(3)]
    for one, other in zip(replayed, eager, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (replayed[1] != replayed[2]).any()


@pytest.mark.parametrize("node", [Dropout, AlphaDropout])
def test_verify(node):
    dl.record(lambda x: node(0.5).apply(x)).verify(np.ones(100, np.float32))


def test_p_may_change_between_replays():
    p = np.array([0.5])
    x = ones(1000)

    def step():
        x.grad = None
        y = Dropout(p).apply(x)
        y.backward(np.ones(1000))
        return y

    recorded = dl.record(step)
    recorded()
    for p[0] in (0.0, 0.2, 1.0):
        y = recorded().numpy()
        np.testing.assert_array_equal(x.grad.numpy(), y)
        assert abs((y == 0).mean() - p[0]) < 0.06
    assert len(recorded.recordings) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform(dtype):
    y = dl.rand(100_001, dtype=dtype).numpy()
    assert 0 <= y.min() < 1e-4
    assert 1 - 1e-4 < y.max() < 1
    counts = np.histogram(y, 50, (0, 1))[0]
    assert ((counts - 2000) ** 2 / 2000).sum() < 90  # chi-square with 49 degrees of freedom: p < 0.0004 above


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal(dtype):
    y = np.sort(dl.normal(2.0, 3.0, (100_001,), dtype=dtype).numpy().astype(np.float64) - 2) / 3
    assert abs(y.mean()) < 0.012
    assert abs(y.std() - 1) < 0.01
    cumulative = np.vectorize(lambda x: 0.5 * (1 + __import__("math").erf(x / 2**0.5)))(y)
    assert np.abs(cumulative - np.arange(y.size) / y.size).max() < 0.006  # Kolmogorov-Smirnov: p < 0.002 above


def test_other_distributions():
    y = dl.randint(3, 7, (40_000,)).numpy()
    assert sorted(set(y.tolist())) == [3, 4, 5, 6]
    assert np.abs(np.bincount(y)[3:] - 10_000).max() < 400
    assert abs(dl.bernoulli((40_000,), 0.3).numpy().mean() - 0.3) < 0.01
    assert dl.randint(5, (2, 2)).shape == (2, 2)
    with pytest.raises(ValueError, match="randint"):
        dl.randint(3, 3, (1,))
    with pytest.raises(ValueError, match="std"):
        dl.normal(0, -1, (1,))
