"""Layers: that each calls its function with its arguments, containers, bad arguments."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn

X = np.random.default_rng(0).standard_normal((4, 6)).astype("float32")

# every layer without state of its own: the layer, and the same through `functional`
LAYERS = [
    (nn.ReLU(), lambda x: F.relu(x)),
    (nn.ReLU(inplace=True), lambda x: F.relu(x)),
    (nn.ReLU6(), lambda x: F.relu6(x)),
    (nn.LeakyReLU(0.2), lambda x: F.leaky_relu(x, 0.2)),
    (nn.PReLU(), lambda x: F.prelu(x, dl.tensor(np.full(1, 0.25, "float32")))),
    (nn.PReLU(6, 0.5), lambda x: F.prelu(x, dl.tensor(np.full(6, 0.5, "float32")))),
    (nn.ELU(0.7), lambda x: F.elu(x, 0.7)),
    (nn.CELU(0.7), lambda x: F.celu(x, 0.7)),
    (nn.SELU(), lambda x: F.selu(x)),
    (nn.GELU(), lambda x: F.gelu(x)),
    (nn.GELU("tanh"), lambda x: F.gelu(x, approximate="tanh")),
    (nn.SiLU(), lambda x: F.silu(x)),
    (nn.Mish(), lambda x: F.mish(x)),
    (nn.Softplus(2.0, 1.0), lambda x: F.softplus(x, 2.0, 1.0)),
    (nn.Sigmoid(), lambda x: F.sigmoid(x)),
    (nn.LogSigmoid(), lambda x: F.logsigmoid(x)),
    (nn.Tanh(), lambda x: F.tanh(x)),
    (nn.Hardtanh(-0.5, 0.7), lambda x: F.hardtanh(x, -0.5, 0.7)),
    (nn.Hardsigmoid(), lambda x: F.hardsigmoid(x)),
    (nn.Hardswish(), lambda x: F.hardswish(x)),
    (nn.Softsign(), lambda x: F.softsign(x)),
    (nn.Softmax(1), lambda x: F.softmax(x, 1)),
    (nn.LogSoftmax(0), lambda x: F.log_softmax(x, 0)),
    (nn.Softmin(-1), lambda x: F.softmin(x, -1)),
    (nn.Identity(3, some="thing"), lambda x: x),
    (nn.Flatten(), lambda x: F.flatten(x, 1)),
    (nn.Flatten(0), lambda x: F.flatten(x)),
    (nn.Unflatten(1, (2, -1)), lambda x: F.reshape(x, (4, 2, 3))),
    (nn.Unflatten(-2, (2, 2)), lambda x: F.reshape(x, (2, 2, 6))),
]


@pytest.mark.parametrize("layer, function", [pytest.param(*pair, id=repr(pair[0])) for pair in LAYERS])
def test_layer_calls_its_function(layer, function):
    x = dl.tensor(X)
    np.testing.assert_array_equal(layer(x).numpy(), function(x).numpy())


LABELS = np.array([1, 0, 5, 2])
WEIGHT = np.linspace(0.5, 2, 6).astype("float32")
PROBABILITIES = (np.abs(X) % 0.9 + 0.05).astype("float32")
TARGET = PROBABILITIES[::-1].copy()

LOSSES = [
    (nn.CrossEntropyLoss(), "cross_entropy", X, LABELS, {}),
    (
        nn.CrossEntropyLoss(WEIGHT, ignore_index=5, reduction="sum", label_smoothing=0.1),
        "cross_entropy",
        X,
        LABELS,
        {"weight": WEIGHT, "ignore_index": 5, "reduction": "sum", "label_smoothing": 0.1},
    ),
    (nn.NLLLoss(WEIGHT, ignore_index=5), "nll_loss", X, LABELS, {"weight": WEIGHT, "ignore_index": 5}),
    (nn.MSELoss("sum"), "mse_loss", X, TARGET, {"reduction": "sum"}),
    (nn.L1Loss("none"), "l1_loss", X, TARGET, {"reduction": "none"}),
    (nn.SmoothL1Loss(beta=0.5), "smooth_l1_loss", X, TARGET, {"beta": 0.5}),
    (nn.HuberLoss(delta=0.5), "huber_loss", X, TARGET, {"delta": 0.5}),
    (nn.BCELoss(WEIGHT), "binary_cross_entropy", PROBABILITIES, TARGET, {"weight": WEIGHT}),
    (
        nn.BCEWithLogitsLoss(WEIGHT, pos_weight=WEIGHT[::-1].copy()),
        "binary_cross_entropy_with_logits",
        X,
        TARGET,
        {"weight": WEIGHT, "pos_weight": WEIGHT[::-1].copy()},
    ),
    (nn.KLDivLoss("batchmean", log_target=True), "kl_div", X, TARGET, {"reduction": "batchmean", "log_target": True}),
]


@pytest.mark.parametrize("loss, name, input, target, arguments", LOSSES)
def test_loss_calls_its_function(loss, name, input, target, arguments):
    expected = getattr(F, name)(dl.tensor(input), dl.tensor(target), **arguments)
    np.testing.assert_array_equal(loss(dl.tensor(input), dl.tensor(target)).numpy(), expected.numpy())


def test_weights_of_a_loss_are_buffers():
    loss = nn.BCEWithLogitsLoss(WEIGHT, pos_weight=WEIGHT)
    assert list(loss.state_dict()) == ["weight", "pos_weight"]
    assert loss.double().weight.dtype == "float64"
    assert list(nn.CrossEntropyLoss().state_dict()) == []


@pytest.mark.parametrize("kind", [nn.Dropout, nn.AlphaDropout])
def test_dropout_follows_the_mode(kind):
    layer = kind(0.4)
    x = dl.tensor(np.ones(10_000, "float32"))
    dl.manual_seed(5)
    noisy = layer(x).numpy()
    dl.manual_seed(5)
    function = F.dropout if kind is nn.Dropout else F.alpha_dropout
    np.testing.assert_array_equal(noisy, function(x, 0.4, True).numpy())
    assert len(np.unique(noisy)) == 2
    np.testing.assert_array_equal(layer.eval()(x).numpy(), x.numpy())


# Linear


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(8, 5), (5,), (2, 3, 5), (0, 5)])
def test_linear(dtype, bias, shape):
    layer = nn.Linear(5, 3, bias, dtype=dtype)
    x = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    expected = x @ layer.weight.numpy().T
    if bias:
        layer.bias.array[:] = 1, 2, 3
        expected = expected + layer.bias.numpy()
    y = layer(x)
    assert y.dtype == dtype and y.shape == (*shape[:-1], 3)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_linear_without_features():
    assert nn.Linear(0, 3)(np.zeros((2, 0), "float32")).numpy().tolist() == [[0, 0, 0]] * 2
    assert nn.Linear(3, 0)(np.zeros((2, 3), "float32")).shape == (2, 0)


def test_linear_without_outputs_has_a_zero_gradient():
    x = dl.tensor(X, requires_grad=True)
    nn.Linear(6, 0)(x).backward(np.zeros((4, 0), "float32"))
    assert not x.grad.numpy().any()


def test_linear_trains():
    layer = nn.Linear(5, 3)
    layer(X[:, :5].copy()).backward(np.ones((4, 3), "float32"))
    np.testing.assert_allclose(layer.weight.grad.numpy(), np.tile(X[:, :5].sum(0), (3, 1)), rtol=1e-5)


# bad arguments


@pytest.mark.parametrize(
    "make, error, text",
    [
        (lambda: nn.Linear(-1, 2), ValueError, "Linear: in_features: got -1"),
        (lambda: nn.Linear(1, 2.5), ValueError, "Linear: out_features: got 2.5"),
        (lambda: nn.Linear(1, 2, dtype="int64"), TypeError, "Linear: dtype: got int64"),
        (lambda: nn.PReLU(1, dtype="int64"), TypeError, "PReLU: dtype: got int64"),
        (lambda: nn.PReLU(0), ValueError, "PReLU: num_parameters: got 0"),
        (lambda: nn.GELU("erf"), ValueError, "GELU: approximate: got 'erf'"),
        (lambda: nn.Hardtanh(1, 1), ValueError, "Hardtanh: min_val, max_val: got 1, 1"),
        (lambda: nn.Softmax("last"), TypeError, "Softmax: dim: got 'last'"),
        (lambda: nn.LogSoftmax(None), TypeError, "LogSoftmax: dim: got None"),
        (lambda: nn.Dropout(1.5), ValueError, "Dropout: p: got 1.5"),
        (lambda: nn.AlphaDropout(float("nan")), ValueError, "AlphaDropout: p: got nan"),
        (lambda: nn.Sequential(nn.ReLU(), F.relu), TypeError, "Sequential: got function, expected Module"),
        (lambda: nn.ModuleList([3]), TypeError, "ModuleList: got int, expected Module"),
        (lambda: nn.ModuleDict({"keys": nn.ReLU()}), ValueError, "name: ModuleDict already has an attribute 'keys'"),
        (lambda: nn.ParameterList([nn.ReLU()]), TypeError, "ParameterList: got ReLU, expected Parameter"),
        (lambda: nn.ModuleList()[0], IndexError, "ModuleList: index 0 is out of range for 0 items"),
        (lambda: nn.Sequential().insert(0, 3), TypeError, "Sequential: got int"),
        (lambda: nn.Unflatten(3, (1, 2))(X), IndexError, "dim 3 is out of range for shape"),
    ],
)
def test_bad_arguments(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_a_wrong_dtype_names_the_layer():
    with pytest.raises(TypeError, match=r"^1: Linear\(.*\): input is float64, but weight is float32"):
        nn.Sequential(nn.Identity(), nn.Linear(6, 2))(X.astype("float64"))


# containers


def names(container):
    return [name for name, _ in container.named_children()]


@pytest.mark.parametrize("kind", [nn.Sequential, lambda *items: nn.ModuleList(items)])
def test_lists_of_modules(kind):
    a, b, c, d = (nn.Linear(1, 1) for _ in range(4))
    modules = kind(a, b)
    assert len(modules) == 2 and modules[0] is a and modules[-1] is b
    assert modules.append(c) is modules
    modules.extend([d])
    assert list(modules) == [a, b, c, d]
    del modules[1]
    assert list(modules) == [a, c, d] and names(modules) == ["0", "1", "2"]
    modules.insert(1, b)
    assert list(modules) == [a, b, c, d] and names(modules) == ["0", "1", "2", "3"]
    modules[-1] = nn.ReLU()
    assert isinstance(modules[3], nn.ReLU)
    del modules[1:3]
    assert len(modules) == 2 and modules[0] is a
    assert list(modules[:1]) == [a] and type(modules[:1]) is type(modules)
    for index in (2, -3):
        with pytest.raises(IndexError, match="out of range for 2 items"):
            modules[index]


def test_sequential_from_a_mapping():
    net = nn.Sequential({"first": nn.Linear(6, 4), "act": nn.ReLU(), "last": nn.Linear(4, 2)})
    assert names(net) == ["first", "act", "last"]
    assert names(net[1:]) == ["act", "last"]
    assert net.first.weight.name == "first.weight"
    assert net(X).shape == (4, 2)
    np.testing.assert_array_equal(net[2](net[:2](X)).numpy(), net(X).numpy())


def test_an_empty_sequential_is_the_identity():
    x = dl.tensor(X)
    assert nn.Sequential()(x) is x


def test_module_dict():
    a, b = nn.ReLU(), nn.Linear(1, 1)
    modules = nn.ModuleDict({"a": a})
    modules["b"] = b
    assert list(modules) == ["a", "b"] and "b" in modules and len(modules) == 2
    assert modules["b"] is b and list(modules.values()) == [a, b] and dict(modules.items()) == {"a": a, "b": b}
    assert modules.pop("a") is a
    modules.update([("c", a)])
    del modules["b"]
    assert list(modules.keys()) == ["c"]
    modules.clear()
    assert len(modules) == 0


def test_parameter_list():
    net = nn.Module()
    net.weights = nn.ParameterList([nn.Parameter([1.0]), nn.Parameter([2.0])])
    net.weights.append(nn.Parameter([3.0]))
    assert list(net.state_dict()) == ["weights.0", "weights.1", "weights.2"]
    assert [weight.item() for weight in net.weights] == [1, 2, 3]
    assert net.weights[2].name == "weights.2"
    assert "(0): Parameter of shape (1,), float32" in repr(net)


# utils


def test_parameters_to_vector_and_back():
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (11,) and not vector.requires_grad
    np.testing.assert_array_equal(vector.numpy()[:6], net[0].weight.numpy().ravel())
    arrays = [parameter.array for parameter in net.parameters()]
    nn.utils.vector_to_parameters(np.arange(11), net.parameters())
    assert all(parameter.array is array for parameter, array in zip(net.parameters(), arrays, strict=True))
    assert net[1].weight.numpy().tolist() == [[8, 9]]
    assert vector.numpy()[8] != 8


def test_parameters_to_vector_with_bad_arguments():
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1).double())
    with pytest.raises(ValueError, match="got float32, float64, expected one dtype"):
        nn.utils.parameters_to_vector(net.parameters())
    with pytest.raises(ValueError, match="got no parameters"):
        nn.utils.parameters_to_vector([])
    with pytest.raises(ValueError, match=r"vector_to_parameters: vec: got shape \(10,\), expected \(11,\)"):
        nn.utils.vector_to_parameters(np.zeros(10), net.parameters())


def test_appending_to_a_slice_keeps_what_is_there():
    a, b, c, d = (nn.Linear(1, 1) for _ in range(4))
    rest = nn.Sequential(a, b, c)[1:].append(d)
    assert list(rest) == [b, c, d] and names(rest) == ["1", "2", "3"]
    assert list(rest.extend([a])) == [b, c, d, a]
