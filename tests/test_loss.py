"""Losses, softmax and activations: bad input, special numbers, and what only they do."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F

X = np.random.default_rng(0).standard_normal((4, 10))
LABELS = np.array([3, 0, 9, 5])
POINTWISE = [
    F.mse_loss,
    F.l1_loss,
    F.huber_loss,
    F.smooth_l1_loss,
    F.binary_cross_entropy,
    F.binary_cross_entropy_with_logits,
    F.kl_div,
    F.poisson_nll_loss,
    F.soft_margin_loss,
]
SMOOTH = {
    F.elu: (-1, 0),
    F.selu: (-1.7580993408473766, 0),
    F.gelu: (0, 0),
    F.silu: (0, 0),
    F.mish: (0, 0),
    F.softplus: (0, 0),
    F.sigmoid: (0, 0),
    F.tanh: (-1, 0),
    F.softsign: (-1, 0),
}


def leaf(array, dtype="float64"):
    return dl.tensor(np.asarray(array, dtype), requires_grad=True)


# Labels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("bad", [12, 10, -1, np.iinfo(np.int64).max, np.iinfo(np.int64).min])
def test_label_out_of_range(loss, reduction, bad):
    labels = LABELS.copy()
    labels[3] = bad
    with pytest.raises(
        IndexError, match=rf"{loss.__name__}: target\[3\] is {bad}, expected 0 <= target < 10 \(or ignore_index -100\)"
    ):
        loss(X, labels, reduction=reduction)
    assert np.isfinite(loss(X, LABELS).item())


def test_label_out_of_range_with_smoothing_and_positions():
    labels = np.zeros((2, 3, 4), int)
    labels[1, 2, 0] = 7
    with pytest.raises(IndexError, match=r"cross_entropy: target\[1\]\[2\]\[0\] is 7, expected 0 <= target < 5"):
        F.cross_entropy(np.zeros((2, 5, 3, 4)), labels, label_smoothing=0.1)


def test_label_out_of_range_in_replay():
    w = leaf(np.eye(10))

    @dl.record
    def step(x, labels):
        w.grad = None
        loss = F.cross_entropy(F.linear(x, w), labels)
        loss.backward()
        return loss

    first = step(X, LABELS).item()
    gradient = w.grad.numpy().copy()
    with pytest.raises(IndexError, match=r"target\[1\] is 10, expected 0 <= target < 10"):
        step(X, np.array([0, 10, 0, 0]))
    assert step(X, LABELS).item() == first
    np.testing.assert_array_equal(w.grad.numpy(), gradient)
    assert len(step.recordings) == 1


def test_ignored_label_may_lie_anywhere():
    x = leaf(X)
    loss = F.cross_entropy(x, np.array([3, 255, 9, 255]), ignore_index=255)
    expected = F.cross_entropy(X[[0, 2]], LABELS[[0, 2]])
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-14)
    loss.backward()
    assert not x.grad.numpy()[[1, 3]].any()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_ignored_position_may_hold_anything(smoothing):
    array = X.copy()
    array[1] = np.inf
    x = leaf(array)
    loss = F.cross_entropy(x, np.array([3, -100, 9, 5]), label_smoothing=smoothing)
    loss.backward()
    assert np.isfinite(loss.item())
    assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_all_ignored(smoothing):
    x, ignored = leaf(X), np.full(4, -100)
    assert F.cross_entropy(x, ignored, reduction="sum", label_smoothing=smoothing).item() == 0
    loss = F.cross_entropy(x, ignored, label_smoothing=smoothing)
    assert np.isnan(loss.item())
    with pytest.raises(FloatingPointError, match="cross_entropy"):
        loss.backward()


# Bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", POINTWISE)
def test_shapes_must_be_equal(loss):
    with pytest.raises(ValueError, match=rf"{loss.__name__}: target: got shape \(3,\), expected \(2, 3\)"):
        loss(np.ones((2, 3)), np.ones(3))


@pytest.mark.parametrize("loss", POINTWISE)
def test_bad_arguments(loss):
    with pytest.raises(ValueError, match=rf"{loss.__name__}: reduction: got 'average'"):
        loss(np.ones(3), np.ones(3), reduction="average")
    with pytest.raises(ValueError, match=rf"{loss.__name__}: empty batch"):
        loss(np.ones((0, 3)), np.ones((0, 3)))
    with pytest.raises(TypeError, match=rf"{loss.__name__}: input: got dtype int64"):
        loss(np.ones(3, int), np.ones(3))
    with pytest.raises(TypeError, match=rf"{loss.__name__}: target: got dtype float64, expected float32"):
        loss(np.ones(3, np.float32), dl.tensor(np.ones(3)))
    assert loss(np.ones(3, np.float32), np.ones(3)).dtype == np.float32


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_bad_arguments_of_class_losses(smoothing):
    def loss(*args, **options):
        return F.cross_entropy(*args, label_smoothing=smoothing, **options)

    with pytest.raises(ValueError, match="cross_entropy: empty batch"):
        loss(np.ones((0, 10)), np.ones(0, int))
    assert loss(np.ones((0, 10)), np.ones(0, int), reduction="sum").item() == 0
    with pytest.raises(ValueError, match=r"target: got int64 \(3,\), expected class indices \(4,\)"):
        loss(X, np.zeros(3, int))
    with pytest.raises(ValueError, match=r"got float\d+ \(4,\), expected class probabilities \(4, 10\)"):
        loss(X, np.zeros(4))
    with pytest.raises(ValueError, match=r"cross_entropy: input: got shape \(\)"):
        loss(np.array(1.0), np.array(0))
    with pytest.raises(TypeError, match="cross_entropy: target: got dtype bool"):
        loss(X, np.zeros(4, bool))
    with pytest.raises(ValueError, match=r"cross_entropy: weight: got shape \(3,\), expected \(10,\)"):
        loss(X, LABELS, weight=np.ones(3))
    with pytest.raises(ValueError, match="cross_entropy: weight: requires a gradient"):
        loss(X, LABELS, weight=leaf(np.ones(10)))
    with pytest.raises(ValueError, match="cross_entropy: reduction: got None"):
        loss(X, LABELS, reduction=None)


def test_bad_constants():
    with pytest.raises(ValueError, match="label_smoothing: got 1.5"):
        F.cross_entropy(X, LABELS, label_smoothing=1.5)
    with pytest.raises(ValueError, match="huber_loss: delta: got 0"):
        F.huber_loss(X, X, delta=0)
    with pytest.raises(ValueError, match="smooth_l1_loss: beta: got -1"):
        F.smooth_l1_loss(X, X, beta=-1)
    with pytest.raises(TypeError, match="nll_loss: target: got dtype float64"):
        F.nll_loss(X, X)
    with pytest.raises(
        ValueError, match=r"binary_cross_entropy: weight: got shape \(3,\), expected the input's \(4, 10\)"
    ):
        F.binary_cross_entropy(X, X, weight=np.ones(3))
    with pytest.raises(ValueError, match="gelu: approximate: got 'erf'"):
        F.gelu(X, approximate="erf")
    with pytest.raises(ValueError, match="softplus: beta: got 0"):
        F.softplus(X, beta=0)
    with pytest.raises(ValueError, match="hardtanh: min_val: got 1"):
        F.hardtanh(X, 1, 0)
    with pytest.raises(ValueError, match=r"prelu: weight: got shape \(3,\), expected \(1,\) or \(10,\)"):
        F.prelu(X, np.ones(3))
    with pytest.raises(TypeError, match="prelu: input is float64, but weight is float32"):
        F.prelu(X, np.ones(10, np.float32))


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax, F.softmin])
def test_softmax_dim(function):
    with pytest.raises(IndexError, match="dim: got 2, expected -2 <= dim < 2"):
        function(X, 2)
    with pytest.raises(TypeError, match="dim: got None, expected an int"):
        function(X, None)


@pytest.mark.parametrize("function", [F.relu, F.sigmoid, F.gelu, lambda x: F.softmax(x, 0)])
def test_activations_need_floats(function):
    with pytest.raises(TypeError, match="got dtype int64"):
        function(np.arange(3))


# Special numbers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
def test_softmax_specials(function, axis, dtype):
    rows = np.zeros((5, 40), dtype)
    rows[0] = -np.inf
    rows[1, 7] = np.nan
    rows[2, 20] = np.inf
    rows[3, :39] = -np.inf
    rows[4] = np.linspace(-1e5, 1e5, 40)
    y = np.moveaxis(function(np.moveaxis(rows, 1, axis), axis).numpy(), axis, 1)
    assert np.isnan(y[:3]).all()
    y = np.exp(y) if function is F.log_softmax else y
    np.testing.assert_array_equal(y[3:], np.eye(40)[[39, 39]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_specials(dtype):
    rows = np.zeros((4, 3), dtype)
    rows[0] = [1e4, -1e4, 0]
    rows[1, 1] = np.nan
    rows[2] = -np.inf
    rows[3, 0] = -np.inf
    losses = F.cross_entropy(rows, [1, 0, 0, 0], reduction="none").numpy()
    np.testing.assert_array_equal(losses, [2e4, np.nan, np.nan, np.inf])


@pytest.mark.parametrize("loss", POINTWISE)
def test_pointwise_nan_stays(loss):
    for x, t in (([0.5, np.nan], [0.5, 0.5]), ([0.5, 0.5], [0.5, np.nan])):
        assert np.isnan(loss(np.array(x), np.array(t)).item())
        assert np.isnan(loss(np.array(x, "float32"), np.array(t)).item())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_cross_entropy_at_the_ends(dtype):
    x = leaf([0, 1, 0, 1], dtype)
    loss = F.binary_cross_entropy(x, [0.0, 1.0, 1.0, 0.0], reduction="none")
    np.testing.assert_array_equal(loss.numpy(), [0, 0, 100, 100])
    loss.backward(np.ones(4))
    assert np.isfinite(x.grad.numpy()).all()
    assert np.isnan(F.binary_cross_entropy(np.array([1.1, 0.5], dtype), np.array([1.0, 1.0])).item())
    far = F.binary_cross_entropy_with_logits(
        leaf([-1000, 1000, 1000, -1000], dtype), [0.0, 1.0, 0.0, 1.0], reduction="none"
    )
    np.testing.assert_array_equal(far.numpy(), [0, 0, 1000, 1000])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", SMOOTH)
def test_activations_far_out(function, dtype):
    below, slope_below = SMOOTH[function]
    bounded = function in (F.sigmoid, F.tanh, F.softsign)
    x = leaf([-1e30, 1e30], dtype)
    y = function(x)
    y.backward(np.ones(2))
    np.testing.assert_allclose(
        y.numpy(), [below, 1 if bounded else x.array[1] * (1.0507009873554805 if function is F.selu else 1)], rtol=1e-6
    )
    above = 0 if bounded else 1.0507009873554805 if function is F.selu else 1
    np.testing.assert_allclose(x.grad.numpy(), [slope_below, above], rtol=1e-6, atol=1e-30)
    assert np.isnan(function(np.array([np.nan, 1], dtype)).numpy()[0])


# What only losses do -------------------------------------------------------------------------------------------


def test_targets_of_any_integer_dtype_and_lists():
    expected = F.cross_entropy(X, LABELS).item()
    for target in (LABELS.astype(np.int32), LABELS.astype(np.uint8), LABELS.tolist(), dl.tensor(LABELS)):
        assert F.cross_entropy(X, target).item() == expected


def test_large_losses_have_the_same_bits_for_any_thread_count():
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((2, 300, 301)).astype("float32")
    labels = rng.integers(0, 301, 300)
    image, masks = x[:, :300].reshape(2, 9, 5000), rng.integers(0, 9, (2, 5000))

    def results():
        for make in (
            lambda x: F.mse_loss(x, t),
            lambda x: F.cross_entropy(x, labels),
            lambda x: F.cross_entropy(x, labels, label_smoothing=0.1),
            lambda x: F.softmax(x, 0),
            lambda x: F.log_softmax(x, 1),
            lambda x: F.gelu(x),
        ):
            leaf = dl.tensor(x, requires_grad=True)
            y = make(leaf)
            y.backward(np.ones(y.shape))
            yield from (y.numpy().copy(), leaf.grad.numpy().copy())
        pixels = dl.tensor(image, requires_grad=True)
        loss = F.cross_entropy(pixels, masks)
        loss.backward()
        yield from (loss.numpy().copy(), pixels.grad.numpy().copy())

    two = list(results())
    dl.set_num_threads(1)
    for one, other in zip(results(), two, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(two[0], ((x - t).astype(float) ** 2).mean(), rtol=1e-6)


def test_tensor_methods():
    x = dl.tensor(X)
    for name in ("relu", "sigmoid", "tanh"):
        np.testing.assert_array_equal(getattr(x, name)().numpy(), getattr(F, name)(x).numpy())
    np.testing.assert_array_equal(x.softmax(-1).numpy(), F.softmax(x, -1).numpy())
    np.testing.assert_array_equal(x.log_softmax(0).numpy(), F.log_softmax(x, 0).numpy())


@pytest.mark.parametrize("frozen", [0, 1])
def test_one_side_frozen(frozen):
    sides = [leaf(X), leaf(X[::-1])]
    sides[frozen].requires_grad = False
    for loss in (F.mse_loss, F.l1_loss):
        loss(*sides).backward()
    F.cross_entropy(*[F.softmax(side, 1) for side in sides]).backward()
    assert sides[frozen].grad is None
    assert np.isfinite(sides[1 - frozen].grad.numpy()).all()
