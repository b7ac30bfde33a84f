"""MultiheadAttention beside PyTorch's: names, initial values, and every option with its gradients."""

import itertools

import numpy as np
import pytest

import minidl as dl
from minidl import nn

torch = pytest.importorskip("torch", reason="parity tests need torch: pip install torch")

N, H, L, S, E = 2, 3, 4, 5, 6
KINDS = {"defaults": {}, "bias-free": {"bias": False}, "kdim": {"kdim": 4}, "vdim": {"kdim": 4, "vdim": 7}}
rng = np.random.default_rng(0)
HIDE, PADDING = rng.random((L, S)) < 0.3, rng.random((N, S)) < 0.3
HIDE[:, 0] = PADDING[:, 0] = False  # a query without a key is NaN in PyTorch
HEADS = np.repeat(HIDE[None], N * H, 0) & (rng.random((N * H, L, S)) < 0.7)
MASKS = {
    "none": {},
    "bools": {"attn_mask": HIDE},
    "heads": {"attn_mask": HEADS},
    "padding": {"key_padding_mask": PADDING},
    "both": {"attn_mask": HEADS, "key_padding_mask": PADDING},
    "numbers": {"attn_mask": rng.standard_normal((L, S))},
    "infinities": {"attn_mask": np.where(HIDE, -np.inf, 0.5), "key_padding_mask": np.where(PADDING, -np.inf, 0.5)},
    "causal": {"attn_mask": ~np.tri(L, S, dtype=bool), "is_causal": True},
}


def pair(dtype="float64", **options):
    """Both layers with the same random weights."""
    ours = nn.MultiheadAttention(E, H, dtype=dtype, **options)
    theirs = torch.nn.MultiheadAttention(E, H, dtype=getattr(torch, dtype), **options)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))
    assert ours.load_state_dict(theirs.state_dict()) == ([], [])
    return ours, theirs


def compare(ours, theirs, arrays, masks, tolerance, same=(0, 1, 2), **options):
    """Outputs, weights and gradients for queries, keys and values; `same` says which array each of them is."""
    leaves = [dl.tensor(x, requires_grad=True) for x in arrays]
    others = [torch.tensor(x, requires_grad=True) for x in arrays]
    dtype = arrays[0].dtype
    masks = {name: x.astype(dtype) if np.asarray(x).dtype.kind == "f" else x for name, x in masks.items()}
    theirs_masks = {name: torch.tensor(x) if isinstance(x, np.ndarray) else x for name, x in masks.items()}
    y, weights = ours(*(leaves[i] for i in same), **masks, **options)
    expected, wanted = theirs(*(others[i] for i in same), **theirs_masks, **options)
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    v = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    total, goal = (y * v).sum(), (expected * torch.tensor(v)).sum()
    assert (weights is None) == (wanted is None)
    if wanted is not None:
        np.testing.assert_allclose(weights.numpy(), wanted.detach().numpy(), rtol=tolerance, atol=tolerance)
        u = np.random.default_rng(2).standard_normal(weights.shape).astype(dtype)
        total, goal = total + (weights * u).sum(), goal + (wanted * torch.tensor(u)).sum()
    total.backward()
    goal.backward()
    for one, other in zip([*leaves, *ours.parameters()], [*others, *theirs.parameters()], strict=True):
        if other.grad is not None:
            np.testing.assert_allclose(one.grad.numpy(), other.grad.numpy(), rtol=tolerance, atol=tolerance)


def sample(dtype, batch_first, kdim=E, vdim=E, bias=True):
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal((length, N, size)) for length, size in ((L, E), (S, kdim), (S, vdim))]
    return [np.ascontiguousarray(x.swapaxes(0, 1) if batch_first else x).astype(dtype) for x in arrays]


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-4), ("float64", 1e-10)])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_every_option(kind, mask, batch_first, dtype, tolerance):
    ours, theirs = pair(dtype, batch_first=batch_first, **KINDS[kind])
    arrays = sample(dtype, batch_first, **KINDS[kind])
    compare(ours, theirs, arrays, MASKS[mask], tolerance)
    for need, average in itertools.product((False, True), repeat=2):
        options = {"need_weights": need, "average_attn_weights": average}
        compare(*pair(dtype, batch_first=batch_first, **KINDS[kind]), arrays, MASKS[mask], tolerance, **options)


@pytest.mark.parametrize("same", [(0, 0, 0), (0, 1, 1), (0, 0, 1), (0, 1, 0), (0, 1, 2)])
@pytest.mark.parametrize("batch_first", [False, True])
def test_tensors_that_are_the_same(same, batch_first):
    arrays = [np.random.default_rng(i).standard_normal((N, L, E)) for i in range(3)]
    compare(*pair(batch_first=batch_first), arrays, {}, 1e-10, same)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("same", [(0, 0, 0), (0, 1, 1)])
def test_without_a_batch(same, batch_first):
    arrays = [np.random.default_rng(i).standard_normal((L, E)) for i in range(3)]
    masks = {"attn_mask": HEADS[:H, :, :L], "key_padding_mask": PADDING[0, :L]}
    compare(*pair(batch_first=batch_first), arrays, masks, 1e-10, same)
    compare(*pair(batch_first=batch_first), arrays, {}, 1e-10, same, average_attn_weights=False)


@pytest.mark.parametrize("kind", KINDS)
def test_names_shapes_and_saving(kind):
    ours, theirs = pair("float32", **KINDS[kind])
    shapes = [(path, tuple(tensor.shape)) for path, tensor in theirs.named_parameters()]
    assert [(path, tensor.shape) for path, tensor in ours.named_parameters()] == shapes
    assert [(path, tensor.shape) for path, tensor in ours.state_dict().items()] == shapes
    theirs.load_state_dict({path: torch.tensor(t.numpy() + 1) for path, t in ours.state_dict().items()})
    for path, tensor in theirs.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), ours.state_dict()[path].numpy() + 1)


@pytest.mark.parametrize("kind", KINDS)
def test_torch_defaults(kind):
    torch.manual_seed(0)
    ours, theirs = nn.MultiheadAttention(96, 4, **KINDS[kind]), torch.nn.MultiheadAttention(96, 4, **KINDS[kind])
    nn.init.torch_(ours)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert np.abs(one.numpy()).max() == pytest.approx(other.abs().max().item(), rel=0.03)
        assert one.numpy().std() == pytest.approx(other.std().item(), rel=0.1)
