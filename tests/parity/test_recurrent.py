"""Recurrent layers and cells beside PyTorch's: signatures, names, and values and gradients of everything.

The functions below the layers are compared in `test_ops.py`, by the declarations in `ops/recurrent.py`.
"""

import inspect
import itertools

import numpy as np
import pytest

import minidl as dl
from minidl import nn
from minidl.functional.embedding import embedding

torch = pytest.importorskip("torch", reason="parity tests need torch: pip install torch")

INPUT, HIDDEN, STEPS, BATCH = 4, 5, 6, 3
LENGTHS = {"packed sorted": [6, 4, 1], "packed unsorted": [4, 6, 1], "lengths": [4, 6, 1]}
KINDS = {
    "RNN": ("RNN", {}),
    "RNN relu": ("RNN", {"nonlinearity": "relu"}),
    "LSTM": ("LSTM", {}),
    "GRU": ("GRU", {}),
}


def pair(kind, *sizes, dtype="float64", cell=False, **options):
    """The layer of either library, with PyTorch's weights."""
    name, settings = KINDS[kind]
    name += "Cell" if cell else ""
    ours = getattr(nn, name)(*sizes, dtype=dtype, **settings, **options)
    theirs = getattr(torch.nn, name)(*sizes, dtype=getattr(torch, dtype), **settings, **options)
    assert ours.load_state_dict(theirs.state_dict()) == ([], [])
    return ours, theirs


def leaves(arrays):
    """The same arrays as tensors of either library that require gradients."""
    return [dl.tensor(x, requires_grad=True) for x in arrays], [torch.tensor(x, requires_grad=True) for x in arrays]


def hx(states):
    """A state as a layer takes it."""
    return tuple(states) if len(states) > 1 else states[0] if states else None


def flat(result):
    """(y, (h_n, c_n)), (y, h_n) or a cell's state as a list; a packed y stays whole."""
    whole = not isinstance(result, tuple) or hasattr(result, "batch_sizes")
    return [result] if whole else [x for part in result for x in flat(part)]


def check(ours, theirs, others, expected, module=(), wanted=(), rtol=1e-10, seed=1):
    """That results are equal, and the gradients of leaves and parameters from random ones of the results."""
    rng = np.random.default_rng(seed)
    loss, other_loss = 0.0, 0.0
    for y, other in zip(ours, others, strict=True):
        np.testing.assert_allclose(y.detach().numpy(), other.detach().numpy(), rtol=rtol, atol=rtol)
        v = rng.standard_normal(y.shape).astype(y.dtype)
        loss, other_loss = loss + (y * v).sum(), other_loss + (other * torch.tensor(v)).sum()
    loss.backward()
    other_loss.backward()
    for x, other in zip([*theirs, *module], [*expected, *wanted], strict=True):
        scale = np.abs(other.grad.numpy()).max()
        np.testing.assert_allclose(x.grad.numpy(), other.grad.numpy(), rtol=rtol, atol=rtol * max(scale, 1))


def run(layer, library, form, batch_first, x, states):
    """A layer's results for a batch in one of the forms that it takes; padding, where there is some, as zeros."""
    if form not in LENGTHS:
        return flat(layer(x, hx(states)))
    rnn, total = library.nn.utils.rnn, x.shape[1 if batch_first else 0]
    if form == "lengths" and library is dl:
        return flat(layer(x, hx(states), lengths=LENGTHS[form]))
    packed = rnn.pack_padded_sequence(
        x, library.tensor(np.array(LENGTHS[form])), batch_first, enforce_sorted=form == "packed sorted"
    )
    y, *last = flat(layer(packed, hx(states)))
    return [rnn.pad_packed_sequence(y, batch_first, total_length=total)[0], *last]


FORMS = ["batch", "single", *LENGTHS]
OPTIONS = list(itertools.product((1, 2), (False, True), (False, True), (False, True)))


@pytest.mark.parametrize("num_layers, bidirectional, batch_first, bias", OPTIONS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_option(kind, form, num_layers, bidirectional, batch_first, bias):
    rng = np.random.default_rng(0)
    options = {"num_layers": num_layers, "bidirectional": bidirectional, "batch_first": batch_first, "bias": bias}
    ours, theirs = pair(kind, INPUT, HIDDEN, **options)
    shape = (BATCH, STEPS) if batch_first else (STEPS, BATCH)
    x = rng.standard_normal((STEPS, INPUT) if form == "single" else (*shape, INPUT))
    batch = () if form == "single" else (BATCH,)
    state = (num_layers * (1 + bidirectional), *batch, HIDDEN)
    for count in (0, len(ours.states)):
        (a, *states), (b, *others) = leaves([x, *(rng.standard_normal(state) for _ in range(count))])
        ours.zero_grad(), theirs.zero_grad()
        results = run(ours, dl, form, batch_first, a, states)
        expected = run(theirs, torch, form, batch_first, b, others)
        check(results, [a, *states], expected, [b, *others], ours.parameters(), theirs.parameters())


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 2e-4)])
@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_ragged_tiles_on_several_threads(kind, lengths, dtype, tolerance):
    rng = np.random.default_rng(0)
    T, B = 40, 37
    ours, theirs = pair(kind, 9, 70, num_layers=2, bidirectional=True, dtype=dtype)
    arrays = [rng.standard_normal((T, B, 9)), *(rng.standard_normal((4, B, 70)) for _ in ours.states)]
    (x, *states), (other, *others) = leaves([array.astype(dtype) for array in arrays])
    if not lengths:
        y, expected = flat(ours(x, hx(states))), flat(theirs(other, hx(others)))
    else:
        n = rng.integers(1, T + 1, B)
        n[5] = T
        rnn = torch.nn.utils.rnn
        packed = rnn.pack_padded_sequence(other, torch.tensor(n), enforce_sorted=False)
        padded, *last = flat(theirs(packed, hx(others)))
        y, expected = flat(ours(x, hx(states), lengths=n)), [rnn.pad_packed_sequence(padded, total_length=T)[0], *last]
    check(y, [x, *states], expected, [other, *others], ours.parameters(), theirs.parameters(), rtol=tolerance)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 2e-5)])
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_cells(kind, bias, single, dtype, tolerance):
    rng = np.random.default_rng(0)
    ours, theirs = pair(kind, INPUT, HIDDEN, cell=True, bias=bias, dtype=dtype)
    batch = () if single else (BATCH,)
    for count in (0, len(ours.states)):
        arrays = [rng.standard_normal((*batch, INPUT)), *(rng.standard_normal((*batch, HIDDEN)) for _ in range(count))]
        (x, *states), (other, *others) = leaves([array.astype(dtype) for array in arrays])
        ours.zero_grad(), theirs.zero_grad()
        y, expected = flat(ours(x, hx(states))), flat(theirs(other, hx(others)))
        check(y, [x, *states], expected, [other, *others], ours.parameters(), theirs.parameters(), rtol=tolerance)


@pytest.mark.parametrize("rows", [3, 50])
@pytest.mark.parametrize("form", ["batch", *LENGTHS])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_character_model(form, batch_first, rows):
    """With fewer rows than characters the layer multiplies the table instead of the characters."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, rows, (BATCH, STEPS) if batch_first else (STEPS, BATCH))
    ours, theirs = pair("LSTM", INPUT, HIDDEN, num_layers=2, bidirectional=True, batch_first=batch_first)
    (a,), (b,) = leaves([rng.standard_normal((rows, INPUT))])
    results = run(ours, dl, form, batch_first, embedding(tokens, a), ())
    expected = run(theirs, torch, form, batch_first, torch.nn.functional.embedding(torch.tensor(tokens), b), ())
    check(results, [a], expected, [b], ours.parameters(), theirs.parameters())


def shown(layer):
    """What PyTorch shows: the nonlinearity of cells, but not that of layers."""
    return repr(layer) if "Cell" in repr(layer) else repr(layer).replace(", nonlinearity=relu", "")


@pytest.mark.parametrize("cell", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_names_shapes_and_repr(kind, cell):
    options = {} if cell else {"num_layers": 2, "bidirectional": True, "batch_first": True, "dropout": 0.5}
    for more in ({}, {"bias": False}):
        ours, theirs = pair(kind, INPUT, HIDDEN, cell=cell, **options, **more)
        assert shown(ours) == repr(theirs)
        wanted = [(name, tuple(p.shape)) for name, p in theirs.named_parameters()]
        assert [(name, p.shape) for name, p in ours.named_parameters()] == wanted


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"])
def test_our_state_dict_loads_there(name):
    ours, theirs = getattr(nn, name)(INPUT, HIDDEN), getattr(torch.nn, name)(INPUT, HIDDEN)
    theirs.load_state_dict({path: torch.from_numpy(t.numpy().copy()) for path, t in ours.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((BATCH, INPUT)).astype("float32")
    for one, other in zip(flat(ours(x)), flat(theirs(torch.tensor(x))), strict=True):
        np.testing.assert_allclose(one.numpy(), other.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_signatures_of_cells(name):
    ours = inspect.signature(getattr(nn, name)).parameters
    wanted = inspect.signature(getattr(torch.nn, name)).parameters
    kept = [p for p in wanted.values() if p.name not in ("device", "dtype")]
    assert [(p.name, p.default) for p in ours.values() if p.name != "dtype"] == [(p.name, p.default) for p in kept]


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_arguments_by_position(name):
    """PyTorch's own signatures say no more than *args."""
    arguments = (INPUT, HIDDEN, 2, *(("relu",) if name == "RNN" else ()), False, True, 0.5, True)
    assert shown(getattr(nn, name)(*arguments)) == repr(getattr(torch.nn, name)(*arguments))


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_torch_defaults(name):
    torch.manual_seed(0)
    ours, theirs = nn.init.torch_(getattr(nn, name)(50, 200, 2)), getattr(torch.nn, name)(50, 200, 2)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert np.abs(one.numpy()).max() == pytest.approx(other.abs().max().item(), rel=0.02)
        assert one.numpy().std() == pytest.approx(other.std().item(), rel=0.1)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_what_both_refuse(name):
    x = np.zeros((STEPS, BATCH, INPUT), "float32")
    h = np.zeros((1, BATCH, HIDDEN), "float32")
    wrong = (h,) if name == "LSTM" else (h, h)

    def state(convert, array):
        return (convert(array), convert(array)) if name == "LSTM" else convert(array)

    refused = [
        lambda layer, f: layer(f(x[0, 0])),
        lambda layer, f: layer(f(x[None])),
        lambda layer, f: layer(f(x[..., :3])),
        lambda layer, f: layer(f(x.astype("float64"))),
        lambda layer, f: layer(f(x[:0])),
        lambda layer, f: layer(f(x), state(f, h[0])),
        lambda layer, f: layer(f(x), state(f, h[:, :1])),
        lambda layer, f: layer(f(x), state(f, h[..., :1])),
        lambda layer, f: layer(f(x), state(f, h.repeat(2, 0))),
        lambda layer, f: layer(f(x[:, 0]), state(f, h)),
        lambda layer, f: layer(f(x), tuple(map(f, wrong))),
    ]
    ours, theirs = getattr(nn, name)(INPUT, HIDDEN), getattr(torch.nn, name)(INPUT, HIDDEN)
    for call in refused:
        with pytest.raises((RuntimeError, ValueError, IndexError, AttributeError)):
            call(theirs, torch.tensor)
        with pytest.raises((ValueError, TypeError)):
            call(ours, dl.tensor)
        assert ours(x)[0].shape == (STEPS, BATCH, HIDDEN)
