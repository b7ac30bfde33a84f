"""Modules beside PyTorch's: names, shapes, repr, and values from the same weights."""

import collections
import math

import numpy as np
import pytest

import minidl
from minidl import nn

torch = pytest.importorskip("torch", reason="parity tests need torch: pip install torch")

X = np.random.default_rng(0).standard_normal((4, 6)).astype("float32")

# what to build, from either library's `nn`
MODELS = {
    "mlp": lambda nn: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3, bias=False)),
    "nested": lambda nn: nn.Sequential(
        collections.OrderedDict(
            body=nn.Sequential(nn.Linear(6, 6), nn.Tanh()), drop=nn.Dropout(0.2), head=nn.Linear(6, 2)
        )
    ),
    "slice": lambda nn: nn.Sequential(nn.ReLU(), nn.Linear(6, 4), nn.Linear(4, 2))[1:],
    "activations": lambda nn: nn.Sequential(
        nn.ReLU(),
        nn.ReLU6(),
        nn.LeakyReLU(0.2, inplace=True),
        nn.PReLU(6),
        nn.ELU(0.7),
        nn.CELU(0.7),
        nn.SELU(inplace=True),
    ),
    "smooth activations": lambda nn: nn.Sequential(
        nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Mish(), nn.Softplus(2.0), nn.Sigmoid(), nn.LogSigmoid(), nn.Tanh()
    ),
    "hard activations": lambda nn: nn.Sequential(
        nn.Hardtanh(-0.5, 0.5, True), nn.Hardtanh(), nn.Hardsigmoid(), nn.Hardswish(), nn.Softsign()
    ),
    "softmax": lambda nn: nn.Sequential(nn.Softmax(1), nn.LogSoftmax(0), nn.Softmin(-1), nn.AlphaDropout()),
    "normalization": lambda nn: nn.Sequential(
        nn.BatchNorm1d(6),
        nn.LayerNorm(6, bias=False),
        nn.GroupNorm(2, 6, affine=False),
        nn.BatchNorm1d(6, 1e-3, None, False, False),
        nn.LayerNorm((6,), elementwise_affine=False),
        nn.RMSNorm(6),
        nn.RMSNorm((6,), 1e-3, False),
        nn.Dropout1d(),
    ),
    "image normalization": lambda nn: nn.ModuleList(
        [
            nn.BatchNorm2d(3, bias=False),
            nn.InstanceNorm1d(3),
            nn.InstanceNorm2d(3, affine=True, track_running_stats=True),
            nn.Dropout2d(0.3),
        ]
    ),
    "shapes": lambda nn: nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Flatten(), nn.Identity(4)),
    "lists": lambda nn: nn.ModuleList(
        [*(nn.Linear(6, 6) for _ in range(3)), nn.ReLU(), nn.Linear(6, 1), nn.Linear(6, 1)]
    ),
    "dict": lambda nn: nn.ModuleDict({"b": nn.Linear(6, 6), "a": nn.ModuleList([nn.PReLU()])}),
    "losses": lambda nn: nn.ModuleList(
        [
            nn.CrossEntropyLoss(),
            nn.NLLLoss(),
            nn.MSELoss(),
            nn.L1Loss(),
            nn.SmoothL1Loss(),
            nn.HuberLoss(),
            nn.BCELoss(),
        ]
    ),
    "other losses": lambda nn: nn.ModuleList([nn.BCEWithLogitsLoss(), nn.KLDivLoss()]),
}
CALLABLE = [
    "mlp",
    "nested",
    "slice",
    "activations",
    "smooth activations",
    "hard activations",
    "softmax",
    "normalization",
    "shapes",
]


def pair(name):
    """Both models in evaluation mode, with PyTorch's weights."""
    ours, theirs = MODELS[name](nn).eval(), MODELS[name](torch.nn).eval()
    result = ours.load_state_dict(theirs.state_dict())
    assert result == ([], [])
    return ours, theirs


@pytest.mark.parametrize("name", MODELS)
def test_names_and_shapes(name):
    ours, theirs = pair(name)
    for method in ("named_parameters", "named_buffers"):
        wanted = [(path, tuple(tensor.shape)) for path, tensor in getattr(theirs, method)()]
        assert [(path, tensor.shape) for path, tensor in getattr(ours, method)()] == wanted
    assert [(p, t.shape) for p, t in ours.state_dict().items()] == [
        (p, tuple(t.shape)) for p, t in theirs.state_dict().items()
    ]
    assert [path for path, _ in ours.named_modules()] == [path for path, _ in theirs.named_modules()]
    assert [name for name, _ in ours.named_children()] == [name for name, _ in theirs.named_children()]


@pytest.mark.parametrize("name", MODELS)
def test_repr(name):
    ours, theirs = pair(name)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", CALLABLE)
def test_values_and_gradients(name):
    ours, theirs = pair(name)
    a, b = minidl.tensor(X, requires_grad=True), torch.tensor(X, requires_grad=True)
    y, expected = ours(a), theirs(b * 1)  # a leaf cannot go through an in-place layer
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=2e-5, atol=2e-6)
    v = np.random.default_rng(1).standard_normal(y.shape).astype("float32")
    y.backward(v)
    expected.backward(torch.tensor(v))
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=2e-4, atol=2e-6)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(one.grad.numpy(), other.grad.numpy(), rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("momentum", [0.3, None])
@pytest.mark.parametrize(
    "kind, shape",
    [("BatchNorm1d", (5, 3)), ("BatchNorm1d", (5, 3, 4)), ("BatchNorm2d", (2, 3, 4, 4)), ("InstanceNorm1d", (5, 3, 4))],
)
def test_running_statistics(kind, shape, momentum):
    options = {"momentum": momentum, "affine": True, "track_running_stats": True}
    ours, theirs = getattr(nn, kind)(3, **options), getattr(torch.nn, kind)(3, **options)
    if kind == "InstanceNorm1d" and momentum is None:
        pytest.skip("PyTorch's InstanceNorm takes None for 0")
    for seed in range(3):
        x = np.random.default_rng(seed).normal(2, 3, shape).astype("float32")
        np.testing.assert_allclose(ours(x).numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-5, atol=1e-5)
    ours.eval(), theirs.eval()
    np.testing.assert_allclose(ours(x).numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-5, atol=1e-5)
    for (path, tensor), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        if not (kind == "InstanceNorm1d" and path == "num_batches_tracked"):
            np.testing.assert_allclose(tensor.numpy(), other.numpy(), rtol=1e-5)


def test_our_state_dict_loads_there():
    theirs = MODELS["nested"](torch.nn)
    ours = MODELS["nested"](nn)
    theirs.load_state_dict({path: torch.from_numpy(t.numpy().copy()) for path, t in ours.state_dict().items()})
    for path, tensor in theirs.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), ours.state_dict()[path].numpy())


def test_shared_parameters():
    def tied(nn):
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        model[1].weight = model[0].weight
        return model

    ours, theirs = tied(nn), tied(torch.nn)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [path for path, _ in ours.named_parameters()] == [path for path, _ in theirs.named_parameters()]


@pytest.mark.parametrize(
    "name, param",
    [(name, None) for name in ("linear", "conv2d", "tanh", "relu", "selu", "leaky_relu")] + [("leaky_relu", 0.3)],
)
def test_gains(name, param):
    assert nn.init.calculate_gain(name, param) == pytest.approx(torch.nn.init.calculate_gain(name, param))


@pytest.mark.parametrize("shape", [(300, 200), (30, 20, 5, 5)])
@pytest.mark.parametrize(
    "name, arguments",
    [
        ("uniform_", (-1, 2)),
        ("normal_", (1, 2)),
        ("trunc_normal_", (0.5, 2, -1, 3)),
        ("xavier_uniform_", (2,)),
        ("xavier_normal_", (2,)),
        ("kaiming_uniform_", (0.3, "fan_out")),
        ("kaiming_normal_", (0, "fan_in", "relu")),
        ("orthogonal_", (2,)),
    ],
)
def test_distributions(name, arguments, shape):
    ours = getattr(nn.init, name)(nn.Parameter(np.zeros(shape, "float32")), *arguments).numpy()
    torch.manual_seed(0)
    theirs = getattr(torch.nn.init, name)(torch.empty(shape), *arguments).numpy()
    assert abs(ours.mean() - theirs.mean()) < 6 * theirs.std() / math.sqrt(theirs.size)
    assert ours.std() == pytest.approx(theirs.std(), rel=0.03)


@pytest.mark.parametrize("shape, groups", [((6, 4, 3), 1), ((4, 6, 3, 4), 2), ((6, 2, 1, 3, 4), 3), ((2, 5, 2, 2), 1)])
def test_dirac(shape, groups):
    ours = nn.init.dirac_(nn.Parameter(np.ones(shape, "float32")), groups).numpy()
    np.testing.assert_array_equal(ours, torch.nn.init.dirac_(torch.ones(shape), groups).numpy())


def test_torch_defaults():
    torch.manual_seed(0)
    ours, theirs = nn.init.torch_(nn.Linear(300, 2000)), torch.nn.Linear(300, 2000)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert np.abs(one.numpy()).max() == pytest.approx(other.abs().max().item(), rel=0.01)
        assert one.numpy().std() == pytest.approx(other.std().item(), rel=0.05)
