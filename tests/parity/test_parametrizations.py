"""Parametrized layers beside PyTorch's: names, values, gradients, training, and states that move both ways."""

import numpy as np
import pytest

import minidl as dl
from minidl import nn, optim

torch = pytest.importorskip("torch", reason="parity tests need torch: pip install torch")

RNG = np.random.default_rng(0)
VECTORS, IMAGES = RNG.standard_normal((5, 6)), RNG.standard_normal((3, 2, 6, 6))
SEQUENCES, TOKENS = RNG.standard_normal((4, 3, 6)), RNG.integers(0, 7, (4, 3))

# kind of parametrization, what to build from either library's `nn`, parameter, options, input
CASES = {
    "weight linear": ("weight_norm", lambda nn: nn.Linear(6, 4), "weight", {}, VECTORS),
    "weight linear dim 1": ("weight_norm", lambda nn: nn.Linear(6, 4), "weight", {"dim": 1}, VECTORS),
    "weight linear dim -2": ("weight_norm", lambda nn: nn.Linear(6, 4), "weight", {"dim": -2}, VECTORS),
    "weight linear whole": ("weight_norm", lambda nn: nn.Linear(6, 4), "weight", {"dim": None}, VECTORS),
    "weight linear bias": ("weight_norm", lambda nn: nn.Linear(6, 4), "bias", {}, VECTORS),
    "weight conv": ("weight_norm", lambda nn: nn.Conv2d(2, 4, 3), "weight", {}, IMAGES),
    "weight conv1d": ("weight_norm", lambda nn: nn.Conv1d(3, 4, 2, bias=False), "weight", {}, SEQUENCES),
    "weight embedding": ("weight_norm", lambda nn: nn.Embedding(7, 3), "weight", {}, TOKENS),
    "weight LSTM": ("weight_norm", lambda nn: nn.LSTM(6, 4), "weight_hh_l0", {}, SEQUENCES),
    "weight GRU": ("weight_norm", lambda nn: nn.GRU(6, 4), "weight_ih_l0", {}, SEQUENCES),
    "spectral linear": ("spectral_norm", lambda nn: nn.Linear(6, 4), "weight", {}, VECTORS),
    "spectral linear dim 1": ("spectral_norm", lambda nn: nn.Linear(6, 4), "weight", {"dim": 1}, VECTORS),
    "spectral linear 3 times": (
        "spectral_norm",
        lambda nn: nn.Linear(6, 4),
        "weight",
        {"n_power_iterations": 3},
        VECTORS,
    ),
    "spectral linear bias": ("spectral_norm", lambda nn: nn.Linear(6, 4), "bias", {}, VECTORS),
    "spectral conv": ("spectral_norm", lambda nn: nn.Conv2d(2, 4, 3), "weight", {}, IMAGES),
    "spectral transposed": ("spectral_norm", lambda nn: nn.ConvTranspose2d(2, 4, 3), "weight", {}, IMAGES),
    "spectral embedding": ("spectral_norm", lambda nn: nn.Embedding(7, 3), "weight", {}, TOKENS),
}


def pair(case):
    """Both layers in float64, with the same values."""
    kind, build, name, options, _ = CASES[case]
    dl.manual_seed(0)
    ours = getattr(nn.utils.parametrizations, kind)(build(nn).double(), name, **options)
    theirs = getattr(torch.nn.utils.parametrizations, kind)(build(torch.nn).double(), name, **options)
    assert ours.load_state_dict(theirs.state_dict()) == ([], [])
    return ours, theirs


def first(y):
    """The output, of a recurrent layer, too."""
    return y[0] if isinstance(y, tuple) else y


@pytest.mark.parametrize("case", CASES)
def test_names_and_shapes(case):
    ours, theirs = pair(case)
    for method in ("named_parameters", "named_buffers"):
        wanted = [(path, tuple(tensor.shape)) for path, tensor in getattr(theirs, method)()]
        assert [(path, tensor.shape) for path, tensor in getattr(ours, method)()] == wanted
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert "Parametrized" + repr(ours) == repr(theirs)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("training", [True, False])
def test_values_and_gradients(case, training):
    (ours, theirs), x = pair(case), CASES[case][-1]
    y, expected = first(ours.train(training)(x)), first(theirs.train(training)(torch.tensor(x)))
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=1e-11, atol=1e-12)
    v = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(v)
    expected.backward(torch.tensor(v))
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(one.grad.numpy(), other.grad.numpy(), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("case", CASES)
def test_training(case):
    """20 recorded steps; then the state moves back."""
    (ours, theirs), x = pair(case), CASES[case][-1]
    one, other = optim.SGD(ours.parameters(), lr=0.05), torch.optim.SGD(theirs.parameters(), lr=0.05)

    @dl.record
    def step(x):
        one.zero_grad()
        loss = (first(ours(x)) ** 2).mean()
        loss.backward()
        one.step()
        return loss

    for _ in range(20):
        other.zero_grad()
        loss = (first(theirs(torch.tensor(x))) ** 2).mean()
        loss.backward()
        other.step()
        np.testing.assert_allclose(step(x).item(), loss.item(), rtol=1e-10)
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name].numpy(), value.numpy(), rtol=1e-10, atol=1e-11)
    fresh = pair(case)[1]
    fresh.load_state_dict({name: torch.tensor(np.asarray(value)) for name, value in ours.state_dict().items()})
    y, expected = first(ours.eval()(x)), first(fresh.eval()(torch.tensor(x)))
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("leave", [True, False])
def test_removed(case, leave):
    ours, theirs = pair(case)
    name = CASES[case][2]
    if not leave and CASES[case][0] == "weight_norm":
        with pytest.raises(ValueError):
            torch.nn.utils.parametrize.remove_parametrizations(theirs, name, leave)
        with pytest.raises(ValueError, match="remove_parametrizations: leave_parametrized: got False"):
            nn.utils.parametrize.remove_parametrizations(ours, name, leave)
        return
    torch.nn.utils.parametrize.remove_parametrizations(theirs, name, leave)
    nn.utils.parametrize.remove_parametrizations(ours, name, leave)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for path, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[path].numpy(), value.numpy(), rtol=1e-11, atol=1e-13)


def test_one_after_the_other():
    """A spectral norm of a weight norm."""
    models = []
    for library in (nn, torch.nn):
        layer = library.Linear(6, 4).double()
        library.utils.parametrizations.weight_norm(layer)
        models.append(library.utils.parametrizations.spectral_norm(layer))
    ours, theirs = models
    assert ours.load_state_dict(theirs.state_dict()) == ([], [])
    y, expected = ours(VECTORS), theirs(torch.tensor(VECTORS))
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=1e-11, atol=1e-12)


class Square(nn.Module):
    def forward(self, original):
        return original**2

    def right_inverse(self, value):
        return dl.sqrt(value)


class TorchSquare(torch.nn.Module):
    def forward(self, original):
        return original**2

    def right_inverse(self, value):
        return value.sqrt()


def test_own_parametrization_and_assignment():
    start, later = np.random.default_rng(2).uniform(0.5, 2, (2, 4, 6))
    ours, theirs = nn.Linear(6, 4).double(), torch.nn.Linear(6, 4).double()
    ours.weight.array[...] = start
    theirs.weight.data = torch.tensor(start)
    nn.utils.parametrize.register_parametrization(ours, "weight", Square())
    torch.nn.utils.parametrize.register_parametrization(theirs, "weight", TorchSquare())
    for value in (start, later):
        for mine, other in ((ours.weight, theirs.weight), *zip(ours.parameters(), theirs.parameters(), strict=True)):
            if mine.ndim == 2:
                np.testing.assert_allclose(mine.numpy(), other.detach().numpy(), rtol=1e-12)
        np.testing.assert_allclose(ours.weight.numpy(), value, rtol=1e-12)
        ours.weight, theirs.weight = later, torch.tensor(later)
