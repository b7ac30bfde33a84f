"""Initial values: moments, bounds, structure, seeds, and bad arguments."""

import math

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn
from minidl.nn import init


def empty(*shape, dtype="float64"):
    return dl.tensor(np.full(shape, np.nan), dtype)


def check_moments(values, mean, std):
    """Mean and standard deviation within 5 standard errors."""
    values = values.numpy().ravel()
    assert abs(values.mean() - mean) < 5 * std / math.sqrt(values.size)
    assert abs(values.std() / std - 1) < 5 / math.sqrt(values.size)


def uniform_bound(values):
    return np.abs(values.numpy()).max()


SHAPES = [((200, 300), 300, 200), ((40, 20, 3, 5), 300, 600), ((50, 100, 3), 300, 150)]

# shapes


@pytest.mark.parametrize("shape, fan_in, fan_out", SHAPES)
def test_fans(shape, fan_in, fan_out):
    assert init.fans(empty(*shape)) == (fan_in, fan_out)


@pytest.mark.parametrize("shape, fan_in, fan_out", SHAPES)
def test_xavier(shape, fan_in, fan_out):
    std = 3 * math.sqrt(2 / (fan_in + fan_out))
    check_moments(init.xavier_normal_(empty(*shape), gain=3), 0, std)
    uniform = init.xavier_uniform_(empty(*shape), gain=3)
    check_moments(uniform, 0, std)
    assert uniform_bound(uniform) == pytest.approx(math.sqrt(3) * std, rel=1e-2)
    assert uniform_bound(uniform) <= math.sqrt(3) * std


@pytest.mark.parametrize("shape, fan_in, fan_out", SHAPES)
@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize(
    "nonlinearity, a, gain", [("relu", 0, 2**0.5), ("leaky_relu", 2, 0.4**0.5), ("tanh", 0, 5 / 3)]
)
def test_kaiming(shape, fan_in, fan_out, mode, nonlinearity, a, gain):
    std = gain / math.sqrt(fan_in if mode == "fan_in" else fan_out)
    check_moments(init.kaiming_normal_(empty(*shape), a, mode, nonlinearity), 0, std)
    uniform = init.kaiming_uniform_(empty(*shape), a, mode, nonlinearity)
    check_moments(uniform, 0, std)
    assert uniform_bound(uniform) <= math.sqrt(3) * std


@pytest.mark.parametrize("shape, fan_in, fan_out", SHAPES)
def test_lecun(shape, fan_in, fan_out):
    check_moments(init.lecun_normal_(empty(*shape)), 0, 1 / math.sqrt(fan_in))


# distributions


def test_normal_and_uniform():
    check_moments(init.normal_(empty(300, 200), 3, 0.5), 3, 0.5)
    uniform = init.uniform_(empty(300, 200), -1, 3)
    check_moments(uniform, 1, 4 / math.sqrt(12))
    assert uniform.numpy().min() >= -1 and uniform.numpy().max() < 3


def phi(x):
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def upper(x):
    """P(X > x) of a standard normal X."""
    return math.erfc(x / math.sqrt(2)) / 2


@pytest.mark.parametrize("low, high", [(-2, 2), (-0.01, 0.02), (-50, 50), (-1, 100), (4, 1e6), (-1e6, -6), (30, 31)])
def test_trunc_normal(low, high):
    """Bounds in units of std; the mean of a truncated normal is a ratio of densities and probabilities."""
    mean, std = 5.0, 2.0
    values = init.trunc_normal_(empty(300, 100), mean, std, mean + low * std, mean + high * std).numpy()
    x = (values - mean) / std
    assert x.min() >= low - 1e-12 and x.max() <= high + 1e-12
    near, far = (low, high) if low + high > 0 else (-high, -low)  # the tail where probabilities do not cancel
    expected = math.copysign(phi(near) - phi(far), low + high) / (upper(near) - upper(far))
    assert abs(x.mean() - expected) < 5 * x.std() / math.sqrt(x.size)


def test_trunc_normal_deviation():
    """Variance of a standard normal truncated at +-2: 1 - 4 phi(2) / P(|X| < 2)."""
    x = init.trunc_normal_(empty(300, 200))
    check_moments(x, 0, math.sqrt(1 - 4 * phi(2) / (1 - 2 * upper(2))))


def test_constants():
    assert init.constant_(empty(2, 2), 3).numpy().tolist() == [[3, 3], [3, 3]]
    assert init.zeros_(empty(2)).numpy().tolist() == [0, 0]
    assert init.ones_(empty()).numpy() == 1
    np.testing.assert_array_equal(init.eye_(empty(2, 3)).numpy(), np.eye(2, 3))


# structure


@pytest.mark.parametrize("shape", [(5, 5), (30, 7), (7, 30), (4, 3, 3, 3), (64, 3, 3, 3), (1, 6)])
def test_orthogonal(shape):
    w = init.orthogonal_(empty(*shape), gain=2).numpy().reshape(shape[0], -1) / 2
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-12)
    single = init.orthogonal_(empty(*shape, dtype="float32")).numpy().reshape(shape[0], -1).astype("float64")
    product = single @ single.T if single.shape[0] <= single.shape[1] else single.T @ single
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-6)


def test_orthogonal_is_uniform():
    """No entry, and no sign of one, is preferred: the trace of a random orthogonal matrix has mean 0, variance 1."""
    traces = [np.trace(init.orthogonal_(empty(4, 4)).numpy()) for _ in range(2000)]
    assert abs(np.mean(traces)) < 5 / math.sqrt(2000)
    assert abs(np.var(traces) - 1) < 0.25


@pytest.mark.parametrize("shape, groups", [((6, 4, 3), 1), ((4, 6, 3, 5), 1), ((6, 2, 1, 3, 4), 3), ((4, 1, 2, 2), 2)])
def test_dirac(shape, groups):
    """A convolution with it passes its input on, as far as there are channels."""
    w = init.dirac_(empty(*shape), groups)
    kept = min(shape[0] // groups, shape[1])
    assert w.numpy().sum() == kept * groups and ((w.numpy() == 0) | (w.numpy() == 1)).all()
    if len(shape) < 5:
        x = dl.randn((2, shape[1] * groups, *[7] * (len(shape) - 2)), dtype="float64")
        convolve = F.conv1d if len(shape) == 3 else F.conv2d
        y = convolve(x, w, padding=tuple(size // 2 for size in shape[2:]), groups=groups).numpy()
        y = y.reshape(2, groups, -1, *y.shape[2:])[(..., *[slice(7)] * (len(shape) - 2))]
        passed = x.numpy().reshape(2, groups, -1, *x.shape[2:])[:, :, :kept]
        np.testing.assert_array_equal(y[:, :, :kept], passed)
        assert not y[:, :, kept:].any()


@pytest.mark.parametrize("shape", [(8, 5, 3), (5, 5, 3, 3), (9, 4, 5, 1), (3, 3, 3, 3, 3)])
def test_delta_orthogonal_keeps_the_norm(shape):
    w = init.delta_orthogonal_(empty(*shape), gain=2.0)
    assert np.count_nonzero(w.numpy()) <= shape[0] * shape[1]
    middle = w.numpy()[(..., *(size // 2 for size in shape[2:]))] / 2
    np.testing.assert_allclose(middle.T @ middle, np.eye(shape[1]), atol=1e-12)
    if len(shape) < 5:
        x = dl.randn((2, shape[1], *[9] * (len(shape) - 2)), dtype="float64")
        convolve = F.conv1d if len(shape) == 3 else F.conv2d
        y = convolve(x, w, padding=tuple(size // 2 for size in shape[2:]))
        np.testing.assert_allclose(np.linalg.norm(y.numpy()), 2 * np.linalg.norm(x.numpy()), rtol=1e-12)


@pytest.mark.parametrize("sparsity, zeros", [(0, 0), (0.1, 5), (0.9, 45), (0.91, 46), (1, 50)])
def test_sparse(sparsity, zeros):
    w = init.sparse_(empty(50, 400), sparsity, std=0.1).numpy()
    assert ((w == 0).sum(axis=0) == zeros).all()
    if zeros < 50:
        check_moments(dl.tensor(w[w != 0]), 0, 0.1)
    if 0 < zeros < 50:  # every row gets its share of zeros
        share = (w == 0).mean(axis=1)
        assert np.abs(share - zeros / 50).max() < 0.15


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
@pytest.mark.parametrize(
    "function",
    [
        init.xavier_normal_,
        init.xavier_uniform_,
        init.kaiming_normal_,
        init.kaiming_uniform_,
        init.lecun_normal_,
        init.orthogonal_,
        init.trunc_normal_,
        init.eye_,
        lambda tensor: init.sparse_(tensor, 0.5),
    ],
)
def test_nothing_to_fill(function, shape):
    assert function(empty(*shape)).shape == shape


def test_no_channels():
    assert not init.delta_orthogonal_(empty(0, 3, 3)).numpy().size and not init.dirac_(empty(3, 0, 3)).numpy().size


def test_gains():
    expected = {
        "linear": 1,
        "conv2d": 1,
        "conv_transpose3d": 1,
        "sigmoid": 1,
        "tanh": 5 / 3,
        "relu": 2**0.5,
        "selu": 0.75,
    }
    for name, gain in expected.items():
        assert init.calculate_gain(name) == pytest.approx(gain)
    assert init.calculate_gain("leaky_relu") == pytest.approx(math.sqrt(2 / 1.0001))
    assert init.calculate_gain("leaky_relu", 0.5) == pytest.approx(math.sqrt(2 / 1.25))


# seeds, memory, dtype


def test_same_seed_same_values_in_place():
    for function in (init.normal_, init.uniform_, init.trunc_normal_, init.orthogonal_, init.kaiming_normal_):
        w = nn.Parameter(np.zeros((3, 4), "float32"))
        array = w.array
        dl.manual_seed(3)
        assert function(w) is w and w.array is array
        first = array.copy()
        assert (function(w).array != first).any()
        dl.manual_seed(3)
        np.testing.assert_array_equal(function(w).array, first)


def test_both_precisions_get_the_same_numbers():
    dl.manual_seed(3)
    single = init.normal_(empty(4, 5, dtype="float32")).numpy()
    dl.manual_seed(3)
    np.testing.assert_array_equal(init.normal_(empty(4, 5)).numpy().astype("float32"), single)


# layers


def test_linear_starts_from_he():
    layer = nn.Linear(400, 300, dtype="float64")
    check_moments(layer.weight, 0, math.sqrt(2 / 400))
    assert not layer.bias.numpy().any()


def test_torch_defaults():
    model = nn.Sequential(nn.Linear(400, 300), nn.PReLU(), nn.Sequential(nn.Linear(300, 200, bias=False)))
    assert init.torch_(model) is model
    for tensor, fan_in in ((model[0].weight, 400), (model[2][0].weight, 300)):
        check_moments(tensor, 0, 1 / math.sqrt(3 * fan_in))
        assert uniform_bound(tensor) <= 1 / math.sqrt(fan_in) + 1e-7
    check_moments(model[0].bias, 0, 1 / math.sqrt(3 * 400))
    assert model[1].weight.item() == 0.25


# bad arguments


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda w: init.uniform_(w, 2, 1), r"uniform_: a, b: got \(2, 1\)"),
        (lambda w: init.uniform_(w, float("nan"), 1), "uniform_: a, b: got"),
        (lambda w: init.normal_(w, 0, -1), "normal_: std: got -1"),
        (lambda w: init.normal_(w, 0, float("nan")), "normal_: std: got nan"),
        (lambda w: init.trunc_normal_(w, 0, 0), "trunc_normal_: std: got 0"),
        (lambda w: init.trunc_normal_(w, a=1, b=1), "trunc_normal_: a, b: got"),
        (lambda w: init.eye_(empty(3)), r"eye_: tensor: got \(3,\)"),
        (lambda w: init.fans(empty(3)), r"fans: tensor: got \(3,\)"),
        (lambda w: init.xavier_normal_(empty(3)), r"fans: tensor: got \(3,\)"),
        (lambda w: init.xavier_normal_(w, gain=-1), "normal_: std: got -"),
        (lambda w: init.xavier_uniform_(w, gain=-1), "xavier_uniform_: std: got -"),
        (lambda w: init.kaiming_normal_(w, mode="in"), "kaiming_normal_: mode: got 'in'"),
        (lambda w: init.kaiming_uniform_(w, nonlinearity="swish"), "calculate_gain: nonlinearity: got 'swish'"),
        (lambda w: init.calculate_gain("leaky_relu", "steep"), "calculate_gain: param: got 'steep'"),
        (lambda w: init.orthogonal_(empty(3)), r"orthogonal_: tensor: got \(3,\)"),
        (lambda w: init.delta_orthogonal_(w), r"delta_orthogonal_: tensor: got \(3, 4\), expected 3 to 5 dimensions"),
        (lambda w: init.dirac_(w), r"dirac_: tensor: got \(3, 4\), expected 3 to 5 dimensions"),
        (lambda w: init.dirac_(empty(4, 2, 3), 3), "dirac_: groups: got 3, expected a divisor of 4"),
        (lambda w: init.sparse_(empty(3, 3, 3), 0.5), "sparse_: tensor: got"),
        (lambda w: init.sparse_(w, 1.5), "sparse_: sparsity: got 1.5"),
        (lambda w: init.sparse_(w, 0.5, -1), "sparse_: std: got -1"),
    ],
)
def test_bad_values(call, text):
    w = init.ones_(empty(3, 4))
    with pytest.raises(ValueError, match=text):
        call(w)
    assert (w.numpy() == 1).all()


@pytest.mark.parametrize("tensor", [np.zeros((2, 2)), dl.tensor([[1, 2]]), 3, None])
@pytest.mark.parametrize("function", [init.normal_, init.zeros_, init.orthogonal_, init.xavier_uniform_, init.eye_])
def test_bad_tensors(function, tensor):
    with pytest.raises(TypeError, match="tensor: got .*, expected"):
        function(tensor)
