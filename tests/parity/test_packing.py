"""`nn.utils.rnn` beside PyTorch's: signatures, and random batches packed, padded and taken apart; values and gradients.

Single operations are compared in `test_ops.py`, by the declarations in `ops/sequence.py`.
"""

import inspect

import numpy as np
import pytest

import minidl as dl
from minidl.nn.utils import rnn

torch = pytest.importorskip("torch", reason="parity tests need torch: pip install torch")

theirs = torch.nn.utils.rnn


def check_packed(ours, expected):
    np.testing.assert_array_equal(ours.data.numpy(), expected.data.detach().numpy())
    for field, other in zip(ours[1:], expected[1:], strict=True):
        assert (field is None) == (other is None)
        assert field is None or field.tolist() == other.tolist()


def check_lists(ours, expected):
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.detach().numpy())


def test_names_and_signatures():
    assert sorted(rnn.__all__) == sorted(theirs.__all__)
    for name in rnn.__all__:
        if name == "PackedSequence":
            assert rnn.PackedSequence._fields == theirs.PackedSequence._fields
            continue
        ours, expected = (inspect.signature(getattr(module, name)).parameters for module in (rnn, theirs))
        assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in expected.values()]


@pytest.mark.parametrize("seed", range(40))
def test_random_batches(seed):
    rng = np.random.default_rng(seed)
    T, B, batch_first, enforce_sorted = *rng.integers(1, 9, 2).tolist(), bool(seed & 1), bool(seed & 2)
    shape = ((B, T) if batch_first else (T, B)) + tuple(rng.integers(1, 4, rng.integers(0, 3)).tolist())
    array, lengths = rng.standard_normal(shape), rng.integers(1, T + 1, B)
    if enforce_sorted:
        lengths = np.sort(lengths)[::-1].copy()
    x, other = dl.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)

    packed = rnn.pack_padded_sequence(x, lengths, batch_first, enforce_sorted)
    expected = theirs.pack_padded_sequence(other, torch.tensor(lengths), batch_first, enforce_sorted)
    check_packed(packed, expected)
    check_lists(rnn.unpack_sequence(packed), theirs.unpack_sequence(expected))
    copy = other.detach().clone()  # which PyTorch's unpad_sequence transposes in place
    check_lists(
        rnn.unpad_sequence(x, lengths, batch_first), theirs.unpad_sequence(copy, torch.tensor(lengths), batch_first)
    )

    arguments = (not batch_first, -3.0, None if seed % 3 else T + 2)
    y, found = rnn.pad_packed_sequence(packed._replace(data=packed.data * packed.data), *arguments)
    wanted, others = theirs.pad_packed_sequence(expected._replace(data=expected.data * expected.data), *arguments)
    np.testing.assert_array_equal(y.numpy(), wanted.detach().numpy())
    assert found.tolist() == others.tolist()
    v = rng.standard_normal(y.shape)
    y.backward(v)
    wanted.backward(torch.tensor(v))
    np.testing.assert_array_equal(x.grad.numpy(), other.grad.numpy())


@pytest.mark.parametrize("seed", range(20))
def test_random_lists(seed):
    rng = np.random.default_rng(seed)
    lengths, rest = rng.integers(1, 9, rng.integers(1, 6)), tuple(rng.integers(1, 4, rng.integers(0, 3)).tolist())
    arrays = [rng.standard_normal((n, *rest)) for n in lengths]
    xs = [dl.tensor(array, requires_grad=True) for array in arrays]
    others = [torch.tensor(array, requires_grad=True) for array in arrays]

    packed, expected = (module.pack_sequence(x, False) for module, x in ((rnn, xs), (theirs, others)))
    check_packed(packed, expected)
    check_lists(rnn.unpack_sequence(packed), theirs.unpack_sequence(expected))
    arguments = (bool(seed & 1), 2.5, "left" if seed & 2 else "right")
    y, wanted = rnn.pad_sequence(xs, *arguments), theirs.pad_sequence(others, *arguments)
    np.testing.assert_array_equal(y.numpy(), wanted.detach().numpy())

    v, w = rng.standard_normal(y.shape), rng.standard_normal(packed.data.shape)
    for gradient, ours, their in ((v, y, wanted), (w, packed.data, expected.data)):
        ours.backward(gradient)
        their.backward(torch.tensor(gradient))
    for x, other in zip(xs, others, strict=True):
        np.testing.assert_allclose(x.grad.numpy(), other.grad.numpy(), rtol=1e-15, atol=1e-15)


def test_what_both_refuse():
    x = np.ones((4, 3, 2))
    refused = [
        lambda nn, x, n: nn.pack_padded_sequence(x, n([4, 4])),
        lambda nn, x, n: nn.pack_padded_sequence(x, n([4, 4, 0])),
        lambda nn, x, n: nn.pack_padded_sequence(x, n([1, 4, 1])),
        lambda nn, x, n: nn.pad_packed_sequence(nn.pack_padded_sequence(x, n([4, 4, 1])), total_length=3),
        lambda nn, x, n: nn.pad_sequence([]),
        lambda nn, x, n: nn.pack_sequence([]),
        lambda nn, x, n: nn.pad_sequence([x, x[..., 0]]),
        lambda nn, x, n: nn.pack_sequence([x[:1], x]),
        lambda nn, x, n: nn.pad_sequence([x], padding_side="top"),
    ]
    for call in refused:
        with pytest.raises((RuntimeError, ValueError)):
            call(theirs, torch.tensor(x), torch.tensor)
        with pytest.raises(ValueError):
            call(rnn, dl.tensor(x), dl.tensor)
