"""Normalisation: precision, running statistics, modes, replay, threads, bad input."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn


def data(*shape, seed=0, mean=0.5, std=2.0, dtype="float32"):
    return (mean + std * np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def randomized(layer):
    """The layer, with a weight and a bias that show."""
    for i, parameter in enumerate(layer.parameters()):
        parameter.array[...] = data(*parameter.shape, seed=i + 10)
    return layer


# precision


@pytest.mark.parametrize("shape", [(4096, 3), (70, 40), (8, 2, 50, 50), (600, 2, 3)])
@pytest.mark.parametrize("mean, std", [(0, 1), (100, 0.1), (-1e4, 1)])
def test_statistics_of_float32_are_as_good_as_float64(shape, mean, std):
    x = data(*shape, mean=mean, std=std)
    axes = (0, *range(2, x.ndim))
    exact = x.astype("float64")
    running_mean, running_var = dl.zeros(shape[1]), dl.zeros(shape[1])
    y = F.batch_norm(x, running_mean, running_var, training=True, momentum=1.0, eps=0).numpy()
    np.testing.assert_allclose(running_mean.numpy(), exact.mean(axes), rtol=1e-6, atol=1e-6 * std)
    np.testing.assert_allclose(running_var.numpy(), exact.var(axes, ddof=1), rtol=1e-6)
    expected = (exact - exact.mean(axes, keepdims=True)) / exact.std(axes, keepdims=True)
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 5000), (40, 33)])
def test_layer_norm_of_float32_is_as_good_as_float64(shape):
    x = data(*shape, mean=100, std=0.1)
    exact = x.astype("float64")
    expected = (exact - exact.mean(1, keepdims=True)) / exact.std(1, keepdims=True)
    np.testing.assert_allclose(F.layer_norm(x, shape[1], eps=0).numpy(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(64, 40), (4, 3, 6, 6)])
def test_gradients_of_float32_far_from_zero(shape):
    x, v = data(*shape, mean=100, std=0.1), data(*shape, seed=1)
    gradients = []
    for dtype in ("float32", "float64"):
        inputs = [dl.tensor(array.astype(dtype), requires_grad=True) for array in (x, data(shape[1]), data(shape[1]))]
        F.batch_norm(inputs[0], None, None, *inputs[1:], training=True, eps=0).backward(v.astype(dtype))
        gradients.append([tensor.grad.numpy() for tensor in inputs])
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-6 * np.abs(other).max())


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 4)])
def test_equal_values_become_the_bias(shape):
    y = F.batch_norm(np.full(shape, 7.3, "float32"), None, None, bias=data(3), training=True)
    np.testing.assert_array_equal(y.numpy(), np.broadcast_to(data(3).reshape(1, 3, *[1] * (len(shape) - 2)), shape))


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 4)])
def test_nan_stays_in_its_channel(shape):
    x = data(*shape)
    x[2, 1] = np.nan
    y = F.batch_norm(x, None, None, training=True, activation="relu").numpy()
    assert np.isnan(y[:, 1]).all()
    assert np.isfinite(y[:, ::2]).all()
    mean, var = np.zeros(3, "float32"), np.ones(3, "float32")
    evaluated = F.batch_norm(x, mean, var, activation="relu").numpy()
    np.testing.assert_array_equal(np.isnan(evaluated), np.isnan(x))


# threads


LAYERS = [
    (nn.BatchNorm1d(40), (1030, 40)),
    (nn.BatchNorm1d(130), (300, 130)),
    (nn.BatchNorm2d(6), (8, 6, 30, 30)),
    (nn.LayerNorm(300), (150, 300)),
    (nn.GroupNorm(4, 12), (5, 12, 30, 30)),
    (nn.GroupNorm(2, 80), (500, 80)),
    (nn.InstanceNorm2d(5, affine=True), (8, 5, 30, 30)),
]


@pytest.mark.parametrize("layer, shape", [pytest.param(*pair, id=repr(pair[0])) for pair in LAYERS])
def test_threads_do_not_change_bits(layer, shape):
    randomized(layer)
    results = []
    for threads in (1, 2, 3):
        dl.set_num_threads(threads)
        x = dl.tensor(data(*shape), requires_grad=True)
        layer.zero_grad()
        y = layer(x)
        y.backward(data(*shape, seed=1))
        results.append([y.numpy(), x.grad.numpy(), *(p.grad.numpy().copy() for p in layer.parameters())])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("shape", [(1030, 40), (8, 6, 30, 30)])
def test_large_and_small_agree(shape):
    """The parallel branches next to NumPy."""
    x, v, w = data(*shape, dtype="float64"), data(*shape, seed=1, dtype="float64"), data(shape[1], dtype="float64")
    axes, channels = (0, *range(2, x.ndim)), (1, -1, *[1] * (x.ndim - 2))
    tensors = [dl.tensor(array, requires_grad=True) for array in (x, w, 0 * w)]
    y = F.batch_norm(tensors[0], None, None, *tensors[1:], training=True, activation="relu", eps=0)
    y.backward(v)
    rstd = 1 / x.std(axes, keepdims=True)
    xhat = (x - x.mean(axes, keepdims=True)) * rstd
    expected = np.maximum(xhat * w.reshape(channels), 0)
    dz = v * (expected > 0)
    g = dz * w.reshape(channels)
    dx = rstd * (g - g.mean(axes, keepdims=True) - xhat * (g * xhat).mean(axes, keepdims=True))
    wanted = [dx, (dz * xhat).sum(axes), dz.sum(axes)]
    np.testing.assert_allclose(y.numpy(), expected, atol=1e-12)
    for tensor, gradient in zip(tensors, wanted, strict=True):
        np.testing.assert_allclose(tensor.grad.numpy(), gradient, rtol=1e-10, atol=1e-10)


# gradients that nobody needs


@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5)])
@pytest.mark.parametrize("needed", range(1, 16))
def test_every_choice_of_gradients(shape, needed):
    def gradients(needed):
        arrays = [data(*shape), data(4), data(4, seed=1), data(*shape, seed=2)]
        tensors = [dl.tensor(array, requires_grad=bool(needed >> i & 1)) for i, array in enumerate(arrays)]
        x, weight, bias, residual = tensors
        y = F.batch_norm(x, None, None, weight, bias, True, activation="relu", residual=residual)
        y.backward(data(*shape, seed=3))
        return [None if tensor.grad is None else tensor.grad.numpy() for tensor in tensors]

    for i, (one, other) in enumerate(zip(gradients(15), gradients(needed), strict=True)):
        if needed >> i & 1:
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
        else:
            assert other is None


@pytest.mark.parametrize("needed", range(1, 8))
def test_every_choice_of_gradients_of_layer_norm(needed):
    def gradients(needed):
        arrays = [data(6, 4), data(4), data(4, seed=1)]
        tensors = [dl.tensor(array, requires_grad=bool(needed >> i & 1)) for i, array in enumerate(arrays)]
        F.layer_norm(tensors[0], 4, *tensors[1:]).backward(data(6, 4, seed=3))
        return [None if tensor.grad is None else tensor.grad.numpy() for tensor in tensors]

    for one, other in zip(gradients(7), gradients(needed), strict=True):
        assert other is None or (one == other).all()
    assert sum(gradient is not None for gradient in gradients(needed)) == bin(needed).count("1")


# running statistics


@pytest.mark.parametrize("momentum", [0.1, 0.0, 1.0, None])
@pytest.mark.parametrize(
    "kind, shape", [(nn.BatchNorm1d, (6, 3)), (nn.BatchNorm1d, (6, 3, 2)), (nn.BatchNorm2d, (2, 3, 2, 2))]
)
def test_running_statistics(kind, shape, momentum):
    layer = kind(3, momentum=momentum)
    mean, var = np.zeros(3), np.ones(3)
    axes = (0, *range(2, len(shape)))
    for i in range(4):
        x = data(*shape, seed=i)
        layer(x)
        rate = 1 / (i + 1) if momentum is None else momentum
        mean += rate * (x.astype("float64").mean(axes) - mean)
        var += rate * (x.astype("float64").var(axes, ddof=1) - var)
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-5)
    assert layer.num_batches_tracked.numpy() == 4
    layer.reset_running_stats()
    assert not layer.running_mean.numpy().any() and (layer.running_var.numpy() == 1).all()
    assert layer.num_batches_tracked.numpy() == 0


def test_running_statistics_of_instances_are_means_over_the_batch():
    layer = nn.InstanceNorm1d(2, track_running_stats=True)
    x = data(5, 2, 7)
    layer(x)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * x.mean((0, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.9 + 0.1 * x.var(2, ddof=1).mean(0), rtol=1e-5)
    expected = F.batch_norm(x, layer.running_mean, layer.running_var)
    np.testing.assert_array_equal(layer.eval()(x).numpy(), expected.numpy())


def test_evaluation_leaves_the_running_statistics():
    layer = nn.BatchNorm1d(3)
    layer(data(5, 3))
    before = [np.array(buffer) for buffer in layer.buffers()]
    assert layer.eval()(data(1, 3)).shape == (1, 3)
    for one, other in zip(before, layer.buffers(), strict=True):
        np.testing.assert_array_equal(one, other.numpy())


def test_without_running_statistics_evaluation_uses_the_batch():
    layer = nn.BatchNorm1d(3, track_running_stats=False)
    x = data(5, 3)
    assert list(layer.state_dict()) == ["weight", "bias"]
    np.testing.assert_array_equal(layer(x).numpy(), layer.eval()(x).numpy())


def test_an_empty_batch_leaves_the_running_statistics():
    layer = nn.BatchNorm1d(3)
    assert layer(np.zeros((0, 3), "float32")).shape == (0, 3)
    assert (layer.running_var.numpy() == 1).all() and not layer.running_mean.numpy().any()


@pytest.mark.parametrize("momentum", [0.3, None])
@pytest.mark.parametrize("layer", [nn.BatchNorm1d, nn.InstanceNorm1d])
def test_replay_moves_the_running_statistics(layer, momentum):
    def train(step_of):
        model = layer(3, momentum=momentum, affine=True, track_running_stats=True)

        def step(x):
            model.zero_grad()
            y = model(x)
            y.sum().backward()
            return y

        step = step_of(step)
        outputs = [step(data(4, 3, 5, seed=seed)).numpy().copy() for seed in range(4)]
        return [*outputs, *(np.array(buffer) for buffer in model.buffers()), model.weight.grad.numpy().copy()]

    for one, other in zip(train(dl.record), train(lambda step: step), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_recorded_step_follows_the_mode():
    layer = nn.BatchNorm1d(3)
    step = dl.record(lambda x: layer(x))
    x = data(6, 3)
    for _ in range(2):
        trained = step(x).numpy().copy()
    layer.eval()
    evaluated = step(x).numpy().copy()
    assert not np.allclose(trained, evaluated)
    np.testing.assert_array_equal(evaluated, layer(x).numpy())
    layer.train()
    np.testing.assert_array_equal(step(x).numpy(), trained)
    assert layer.num_batches_tracked.numpy() == 3
    step.verify(x)
    assert layer.num_batches_tracked.numpy() == 3


def test_a_step_cannot_read_the_statistics_that_it_moves():
    layer = nn.BatchNorm1d(3)

    def step(x):
        layer(x)
        return float(layer.num_batches_tracked)

    with pytest.raises(RuntimeError, match="the value changes from step to step"):
        dl.record(step)(data(4, 3))


# layers


def test_layers_call_their_functions():
    x, image = data(4, 6), data(4, 6, 3, 3)
    np.testing.assert_array_equal(
        randomized(layer := nn.LayerNorm(6, eps=0.1))(x).numpy(),
        F.layer_norm(x, (6,), layer.weight, layer.bias, 0.1).numpy(),
    )
    np.testing.assert_array_equal(
        randomized(layer := nn.GroupNorm(3, 6, eps=0.1))(image).numpy(),
        F.group_norm(image, 3, layer.weight, layer.bias, 0.1).numpy(),
    )
    np.testing.assert_array_equal(
        randomized(layer := nn.BatchNorm2d(6, eps=0.1))(image).numpy(),
        F.batch_norm(image, None, None, layer.weight, layer.bias, True, eps=0.1).numpy(),
    )
    np.testing.assert_array_equal(nn.InstanceNorm2d(6, eps=0.1)(image).numpy(), F.instance_norm(image, eps=0.1).numpy())


def test_instances_without_a_batch():
    x = data(3, 7)
    layer = nn.InstanceNorm1d(3)
    np.testing.assert_array_equal(layer(x).numpy(), layer(x[None]).numpy()[0])
    image = data(3, 4, 5)
    layer = nn.InstanceNorm2d(3)
    np.testing.assert_array_equal(layer(image).numpy(), layer(image[None]).numpy()[0])


def test_parameters_and_buffers():
    layer = nn.BatchNorm1d(3)
    names = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert list(layer.state_dict()) == names
    assert layer.num_batches_tracked.shape == () and layer.num_batches_tracked.dtype == "int64"
    assert list(nn.BatchNorm1d(3, affine=False).parameters()) == []
    assert [name for name, _ in nn.BatchNorm2d(3, bias=False).named_parameters()] == ["weight"]
    assert list(nn.InstanceNorm1d(3).state_dict()) == []
    assert list(nn.InstanceNorm2d(3, affine=True, track_running_stats=True).state_dict()) == names
    assert list(nn.LayerNorm((2, 3)).state_dict()) == ["weight", "bias"]
    assert list(nn.LayerNorm(3, bias=False).state_dict()) == ["weight"]
    assert list(nn.LayerNorm(3, elementwise_affine=False).state_dict()) == []
    assert list(nn.GroupNorm(1, 3, affine=False).state_dict()) == []


def test_double():
    layer = nn.BatchNorm1d(3).double()
    assert layer(data(4, 3, dtype="float64")).dtype == "float64"
    assert layer.running_var.dtype == "float64" and layer.num_batches_tracked.numpy() == 1
    assert nn.LayerNorm(3, dtype="float64").weight.dtype == "float64"


def test_saved_and_loaded(tmp_path):
    layer, other = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    layer(data(4, 3, 2, 2))
    dl.save(layer.state_dict(), tmp_path / "layer.safetensors")
    other.load_state_dict(dl.load(tmp_path / "layer.safetensors"))
    for one, two in zip(layer.state_dict().values(), other.state_dict().values(), strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


@pytest.mark.parametrize(
    "kind, function, shape", [(nn.Dropout1d, F.dropout1d, (3, 50, 4)), (nn.Dropout2d, F.dropout2d, (3, 50, 4, 2))]
)
def test_dropout_of_channels(kind, function, shape):
    layer, x = kind(0.4), np.ones(shape, "float32")
    dl.manual_seed(5)
    y = layer(x).numpy()
    dl.manual_seed(5)
    np.testing.assert_array_equal(y, function(x, 0.4, True).numpy())
    assert (y.reshape(150, -1) == y.reshape(150, -1)[:, :1]).all() and len(np.unique(y)) == 2
    np.testing.assert_array_equal(layer.eval()(x).numpy(), x)


# bad arguments


X = data(4, 6)
STATS = np.zeros(6, "float32"), np.ones(6, "float32")


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: F.batch_norm(X[0], *STATS), ValueError, r"batch_norm: input has shape \(6,\)"),
        (lambda: F.batch_norm(X[:1], *STATS, training=True), ValueError, "batch_norm: got one value per channel"),
        (lambda: F.batch_norm(X[:1, :, None], None, None, training=True), ValueError, "one value per channel"),
        (
            lambda: F.batch_norm(X, *STATS, weight=data(5)),
            ValueError,
            r"batch_norm: weight has shape \(5,\), expected \(6,\)",
        ),
        (lambda: F.batch_norm(X, data(5), data(5)), ValueError, "batch_norm: running_mean has shape"),
        (lambda: F.batch_norm(X, *STATS, residual=X[:1]), ValueError, "batch_norm: residual has shape"),
        (lambda: F.batch_norm(X, None, None), ValueError, "running_mean and running_var, expected both"),
        (lambda: F.batch_norm(X, STATS[0], None, training=True), ValueError, "expected both or neither"),
        (
            lambda: F.batch_norm(X, *STATS, bias=data(6, dtype="float64")),
            TypeError,
            "input is float32, but bias is float64",
        ),
        (lambda: F.batch_norm(X, *STATS, activation="tanh"), ValueError, "batch_norm: activation: got 'tanh'"),
        (lambda: F.batch_norm(X, *STATS, eps=-1.0), ValueError, "batch_norm: eps: got -1.0"),
        (lambda: F.batch_norm(X, *STATS, eps=float("nan")), ValueError, "batch_norm: eps: got nan"),
        (lambda: F.batch_norm(X, *STATS, momentum=float("inf")), ValueError, "batch_norm: momentum: got inf"),
        (lambda: F.batch_norm(X, *STATS, training=True, momentum=None), ValueError, "without num_batches_tracked"),
        (
            lambda: F.layer_norm(X, 5),
            ValueError,
            r"layer_norm: input has shape \(4, 6\), expected it to end in .*\(5,\)",
        ),
        (lambda: F.layer_norm(X, (2, 4, 6)), ValueError, "layer_norm: input has shape"),
        (lambda: F.layer_norm(X, ()), ValueError, r"layer_norm: normalized_shape: got \(\)"),
        (lambda: F.layer_norm(X, 6, data(5)), ValueError, "layer_norm: weight has shape"),
        (lambda: F.group_norm(X, 4), ValueError, "group_norm: num_groups: got 4, expected a divisor of the 6 channels"),
        (lambda: F.group_norm(X, 0), ValueError, "group_norm: num_groups: got 0"),
        (lambda: F.group_norm(X[:1], 6), ValueError, "group_norm: got one value per group"),
        (lambda: F.instance_norm(X), ValueError, "instance_norm: got one value per channel and sample"),
        (lambda: F.instance_norm(X[:, :, None], use_input_stats=False), ValueError, "instance_norm: .* expected both"),
        (
            lambda: nn.BatchNorm1d(5)(X),
            ValueError,
            r"BatchNorm1d\(5, .*\): input has 6 channels \(shape \(4, 6\)\), expected 5",
        ),
        (lambda: nn.BatchNorm1d(6)(X[None, None]), ValueError, r"BatchNorm1d.* expected \(N, C\) or \(N, C, L\)"),
        (lambda: nn.BatchNorm2d(6)(X), ValueError, r"BatchNorm2d.* expected \(N, C, H, W\)"),
        (lambda: nn.BatchNorm1d(6)(X[:1]), ValueError, r"BatchNorm1d\(6.* got one value per channel"),
        (lambda: nn.InstanceNorm1d(5)(X), ValueError, r"InstanceNorm1d.* input has 4 channels .*, expected 5"),
        (lambda: nn.InstanceNorm2d(6)(X), ValueError, r"InstanceNorm2d.* expected \(N, C, H, W\) or \(C, H, W\)"),
        (lambda: nn.LayerNorm(5)(X), ValueError, r"LayerNorm\(\(5,\).* input has shape \(4, 6\)"),
        (
            lambda: nn.GroupNorm(2, 4)(X),
            ValueError,
            r"GroupNorm\(2, 4.* input has shape \(4, 6\), expected \(N, 4, ...\)",
        ),
        (lambda: nn.GroupNorm(4, 6), ValueError, "GroupNorm: num_groups: got 4, expected a divisor of num_channels=6"),
        (lambda: nn.BatchNorm1d(-1), ValueError, "BatchNorm1d: num_features: got -1"),
        (lambda: nn.BatchNorm1d(2.5), ValueError, "BatchNorm1d: num_features: got 2.5"),
        (lambda: nn.BatchNorm1d(2, eps=float("inf")), ValueError, "BatchNorm1d: eps: got inf"),
        (lambda: nn.BatchNorm1d(2, momentum=-0.1), ValueError, "BatchNorm1d: momentum: got -0.1"),
        (lambda: nn.LayerNorm(()), ValueError, r"LayerNorm: normalized_shape: got \(\)"),
        (lambda: nn.LayerNorm(4, dtype="int64"), TypeError, "LayerNorm: dtype: got int64"),
        (lambda: nn.Dropout2d(1.5), ValueError, "Dropout2d: p: got 1.5"),
    ],
)
def test_bad_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call()
    assert F.batch_norm(X, *STATS).shape == X.shape


def test_a_refused_batch_leaves_the_statistics():
    layer = nn.BatchNorm1d(6)
    with pytest.raises(ValueError):
        layer(X[:1])
    assert layer.num_batches_tracked.numpy() == 0


def test_many_widths_do_not_disturb_a_recording():
    """What stands in for a missing weight is no recording's own memory."""
    x = np.random.default_rng(0).standard_normal((3, 5)).astype("float32")
    step = dl.record(lambda x: F.layer_norm(x, (5,)))
    wanted = step(x).numpy().copy()
    for width in range(6, 80):
        dl.record(lambda x, width=width: F.layer_norm(x, (width,)))(np.ones((2, width), "float32"))
    np.testing.assert_array_equal(step(x).numpy(), wanted)


def test_statistics_read_before_they_move():
    mean, var = dl.zeros(3), dl.ones(3)

    def step(x):
        start = float(mean.numpy()[0])
        return F.batch_norm(x, mean, var, training=True) + start

    with pytest.raises(RuntimeError, match="batch_norm: the step has read the values"):
        dl.record(step)(np.random.default_rng(0).standard_normal((4, 3)).astype("float32"))
