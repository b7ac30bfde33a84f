"""Embeddings beside PyTorch's: every option, values, gradients and what happens to the table."""

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl import nn, optim

torch = pytest.importorskip("torch", reason="parity tests need torch: pip install torch")

RNG = np.random.default_rng(0)
TABLE = RNG.standard_normal((7, 5))
TOKENS = RNG.integers(0, 7, (4, 6))
FLAT = TOKENS.ravel()
OFFSETS = np.array([0, 0, 5, 6, 6, 20, 24])  # three of the bags are empty
WEIGHTS = RNG.standard_normal((4, 6))
NORMS = [(1.0, 2.0), (1.5, 1.0), (0.5, float("inf")), (1.0, 3.0), (2.0, 0.0), (0.1, -1.0), (100.0, 2.0)]


def compare(ours, theirs, *arrays, tolerance=1e-12):
    """Values of both functions, gradients of their float arguments, and what the call made of these."""
    a = [dl.tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays]
    b = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays]
    y, expected = ours(*a), theirs(*b)
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    v = np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype)
    y.backward(v)
    expected.backward(torch.tensor(v))
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one.numpy(), other.detach().numpy(), rtol=tolerance, atol=tolerance)
        if other.grad is not None:
            np.testing.assert_allclose(one.grad.numpy(), other.grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("padding", [None, 0, 3, -1, -7])
@pytest.mark.parametrize("max_norm, norm_type", [(None, 2.0), *NORMS])
def test_embedding(padding, max_norm, norm_type, dtype, tolerance):
    options = {"padding_idx": padding, "max_norm": max_norm, "norm_type": norm_type}
    compare(
        lambda w, i: F.embedding(i, w, **options),
        lambda w, i: torch.nn.functional.embedding(i, w, **options),
        TABLE.astype(dtype),
        TOKENS,
        tolerance=tolerance,
    )


BAGS = [(TOKENS, None, False), (FLAT, OFFSETS, False), (FLAT, OFFSETS, True), (TOKENS, None, True)]


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
@pytest.mark.parametrize("padding", [None, 3, -7])
@pytest.mark.parametrize("bags", range(len(BAGS)))
def test_embedding_bag(mode, padding, bags, dtype, tolerance):
    tokens, offsets, last = BAGS[bags]
    options = {"mode": mode, "padding_idx": padding, "include_last_offset": last}
    compare(
        lambda w, i, *o: F.embedding_bag(i, w, *o, **options),
        lambda w, i, *o: torch.nn.functional.embedding_bag(i, w, *o, **options),
        TABLE.astype(dtype),
        tokens,
        *([] if offsets is None else [offsets]),
        tolerance=tolerance,
    )


@pytest.mark.parametrize("padding", [None, 2])
@pytest.mark.parametrize("ragged", [False, True])
def test_weights_in_a_bag(padding, ragged):
    def call(function):
        def called(w, i, f, *o):
            return function(i, w, *o, mode="sum", per_sample_weights=f, padding_idx=padding)

        return called

    arrays = [TABLE, FLAT, WEIGHTS.ravel(), OFFSETS] if ragged else [TABLE, TOKENS, WEIGHTS]
    compare(call(F.embedding_bag), call(torch.nn.functional.embedding_bag), *arrays)


@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
@pytest.mark.parametrize("max_norm, norm_type", NORMS)
def test_norms_in_a_bag(mode, max_norm, norm_type):
    compare(
        lambda w, i: F.embedding_bag(i, w, None, max_norm, norm_type, mode),
        lambda w, i: torch.nn.functional.embedding_bag(
            i, w, max_norm=max_norm, norm_type=norm_type, mode=mode, padding_idx=None
        ),
        TABLE,
        TOKENS,
    )


# Layers

LAYERS = [
    lambda nn: nn.Embedding(7, 5),
    lambda nn: nn.Embedding(7, 5, 2),
    lambda nn: nn.Embedding(7, 5, -2, 1.5),
    lambda nn: nn.Embedding(7, 5, max_norm=2, norm_type=1.0),
    lambda nn: nn.EmbeddingBag(7, 5),
    lambda nn: nn.EmbeddingBag(7, 5, 1.0, 3.0, mode="sum", padding_idx=-1),
    lambda nn: nn.EmbeddingBag(7, 5, mode="max", include_last_offset=True),
]


@pytest.mark.parametrize("build", [pytest.param(build, id=repr(build(nn))) for build in LAYERS])
def test_layers(build):
    ours, theirs = build(nn), build(torch.nn)
    assert repr(ours) == repr(theirs)
    assert ours.padding_idx == theirs.padding_idx
    ours.load_state_dict(theirs.state_dict())
    y, expected = ours(TOKENS), theirs(torch.tensor(TOKENS))
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=1e-6, atol=1e-6)
    y.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(ours.weight.numpy(), theirs.weight.detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(ours.weight.grad.numpy(), theirs.weight.grad.numpy(), rtol=1e-6)


@pytest.mark.parametrize("layer", ["Embedding", "EmbeddingBag"])
def test_from_pretrained(layer):
    ours = getattr(nn, layer).from_pretrained(TABLE, padding_idx=2, max_norm=1.0)
    theirs = getattr(torch.nn, layer).from_pretrained(torch.tensor(TABLE), padding_idx=2, max_norm=1.0)
    assert repr(ours) == repr(theirs)
    assert ours.weight.requires_grad == theirs.weight.requires_grad
    np.testing.assert_allclose(ours(TOKENS).numpy(), theirs(torch.tensor(TOKENS)).numpy(), rtol=1e-12)


@pytest.mark.parametrize("layer", ["Embedding", "EmbeddingBag"])
def test_initial_values(layer):
    for values in (getattr(nn, layer)(300, 40, padding_idx=7), getattr(torch.nn, layer)(300, 40, padding_idx=7)):
        table = np.delete(values.weight.detach().numpy(), 7, 0)
        assert abs(table.mean()) < 0.05
        assert abs(table.std() - 1) < 0.05
        assert not values.weight.detach().numpy()[7].any()


def test_fifty_recorded_steps_give_the_same_loss_curve():
    """A model of bags and single tokens, with padding and a norm; tokens and offsets change from step to step."""

    class Model:
        def __init__(self, nn):
            self.single = nn.Embedding(20, 6, padding_idx=0, max_norm=2.0)
            self.bag = nn.EmbeddingBag(20, 6, mode="mean", padding_idx=0)
            self.head = nn.Linear(6, 20)
            self.layers = nn.ModuleList([self.single, self.bag, self.head])

        def __call__(self, tokens, entries, offsets):
            return self.head(self.single(tokens) + self.bag(entries, offsets))

    ours, theirs = Model(nn), Model(torch.nn)
    ours.layers.load_state_dict(theirs.layers.state_dict())
    mine = optim.SGD(ours.layers.parameters(), lr=0.5)
    other = torch.optim.SGD(theirs.layers.parameters(), lr=0.5)

    @dl.record
    def step(tokens, entries, offsets):
        mine.zero_grad()
        loss = F.cross_entropy(ours(tokens, entries, offsets), tokens)
        loss.backward()
        mine.step()
        return loss

    curve, expected = [], []
    rng = np.random.default_rng(0)
    for _ in range(50):
        tokens, entries = rng.integers(0, 20, 8), rng.integers(0, 20, 30)
        offsets = np.append(0, np.sort(rng.integers(0, 31, 7)))
        curve.append(step(tokens, entries, offsets).item())
        other.zero_grad()
        tokens = torch.tensor(tokens)
        outputs = theirs(tokens, torch.tensor(entries), torch.tensor(offsets))
        loss = torch.nn.functional.cross_entropy(outputs, tokens)
        loss.backward()
        other.step()
        expected.append(loss.item())
    np.testing.assert_allclose(curve, expected, rtol=1e-4)
    assert expected[-1] < expected[0] / 2
