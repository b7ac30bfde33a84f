"""Packed and padded sequences: fields, round trips, padding that holds NaN, recording, bad input.

Values and gradients are checked from the declarations in `ops/sequence.py`.
"""

import copy

import numpy as np
import pytest

import minidl as dl
from minidl import functional as F
from minidl.nn.utils import rnn

NAN = float("nan")
LENGTHS = np.array([2, 4, 1])


@pytest.fixture
def batch():
    """Three sequences of the lengths above, (4, 3, 2), with NaN behind their ends."""
    x = np.arange(24.0).reshape(4, 3, 2)
    x[np.arange(4)[:, None] >= LENGTHS] = NAN
    return dl.tensor(x, requires_grad=True)


def packed(batch):
    return rnn.pack_padded_sequence(batch, LENGTHS, enforce_sorted=False)


# Packed sequences ----------------------------------------------------------------------------------------------------


def test_fields(batch):
    data, batch_sizes, sorted_indices, unsorted_indices = packed(batch)
    np.testing.assert_array_equal(data.numpy()[:, 0], [2, 0, 4, 8, 6, 14, 20])
    assert batch_sizes.tolist() == [3, 2, 1, 1]
    assert sorted_indices.tolist() == unsorted_indices.tolist() == [1, 0, 2]
    assert {field.dtype for field in packed(batch)[1:]} == {np.dtype(np.int64)}


def test_the_inverse_is_found():
    sequence = rnn.PackedSequence(np.ones(6), [4, 2], [2, 0, 3, 1])
    assert sequence.unsorted_indices.tolist() == [1, 3, 0, 2]
    assert rnn.PackedSequence(np.ones(3), [2, 1]).unsorted_indices is None
    assert rnn.invert_permutation(None) is None


def test_what_a_layer_needs(batch):
    sequence = packed(batch)
    assert sequence.lengths().tolist() == [4, 2, 1] and sequence.lengths().dtype == np.int64
    x = sequence.padded()
    np.testing.assert_array_equal(x.numpy(), np.nan_to_num(batch.numpy())[:, [1, 0, 2]])
    result = sequence.repack(x[..., 0] + 1)
    np.testing.assert_array_equal(result.data.numpy(), sequence.data.numpy()[:, 0] + 1)
    for field, other in zip(result[1:], sequence[1:], strict=True):
        assert field is other
    y, lengths = rnn.pad_packed_sequence(result)
    np.testing.assert_array_equal(y.numpy(), np.nan_to_num(batch.numpy()[..., 0] + 1))
    assert lengths.tolist() == LENGTHS.tolist()


def test_other_data_in_the_same_order(batch):
    sequence = copy.deepcopy(packed(batch.detach()))
    other = sequence._replace(data=sequence.data[:, 1])
    assert isinstance(other, rnn.PackedSequence)
    np.testing.assert_array_equal(rnn.unpack_sequence(other)[0].numpy(), [1, 7])
    short = sequence._replace(data=sequence.data[1:])
    with pytest.raises(ValueError, match=r"data has shape \(6, 2\), expected \(7, ...\), the sum of batch_sizes"):
        rnn.pad_packed_sequence(short)


@pytest.mark.parametrize("lengths", [[2, 4, 1], (2, 4, 1), LENGTHS.astype(np.int32), dl.tensor(LENGTHS)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_dtypes(lengths, dtype):
    x = (np.arange(12).reshape(3, 4) % 3).astype(dtype)
    sequence = rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    assert sequence.data.dtype == dtype
    y, _ = rnn.pad_packed_sequence(sequence, batch_first=True, padding_value=1)
    np.testing.assert_array_equal(y.numpy(), np.where(np.arange(4) < LENGTHS[:, None], x, 1))
    assert y.dtype == dtype


def test_steps_without_features():
    sequence = rnn.pack_padded_sequence(np.zeros((4, 3, 0)), LENGTHS, enforce_sorted=False)
    assert sequence.data.shape == (7, 0)
    assert rnn.pad_packed_sequence(sequence)[0].shape == (4, 3, 0)


def test_empty_sequences():
    sequences = [np.ones((2, 3)), np.ones((0, 3)), np.ones((3, 3))]
    padded = rnn.pad_sequence(sequences)
    assert padded.shape == (3, 3, 3)
    pieces = rnn.unpad_sequence(padded, [2, 0, 3])
    assert [piece.shape for piece in pieces] == [(2, 3), (0, 3), (3, 3)]
    assert all((piece.numpy() == 1).all() for piece in pieces)
    assert rnn.unpad_sequence(np.ones((3, 0, 2)), []) == []


def test_lists_of_numbers():
    np.testing.assert_array_equal(rnn.pad_sequence([[1, 2], [3]], True, -1).numpy(), [[1, 2], [3, -1]])
    assert [piece.tolist() for piece in rnn.unpack_sequence(rnn.pack_sequence([[3], [1, 2]], False))] == [[3], [1, 2]]


# Padding that holds NaN ----------------------------------------------------------------------------------------------


def test_padding_reaches_no_gradient(batch):
    weight = dl.tensor(np.array([[1.0], [2.0]]), requires_grad=True)
    sequence = packed(batch)
    F.matmul(sequence.padded(), weight).sum().backward()
    steps = np.isfinite(batch.numpy())
    np.testing.assert_array_equal(weight.grad.numpy()[:, 0], np.nansum(batch.numpy(), (0, 1)))
    np.testing.assert_array_equal(batch.grad.numpy(), np.where(steps, [1.0, 2.0], 0.0))


def test_a_gradient_of_nan_in_the_padding(batch):
    y, _ = rnn.pad_packed_sequence(packed(batch))
    y.backward(np.where(np.isfinite(batch.numpy()), 1.0, NAN))
    np.testing.assert_array_equal(batch.grad.numpy(), np.isfinite(batch.numpy()))


def test_zero_padding_selects(batch):
    y = F.zero_padding(batch, LENGTHS)
    np.testing.assert_array_equal(y.numpy(), np.nan_to_num(batch.numpy()))
    y.backward(np.where(np.isfinite(batch.numpy()), 3.0, NAN))
    np.testing.assert_array_equal(batch.grad.numpy(), np.where(np.isfinite(batch.numpy()), 3.0, 0.0))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_zero_padding_of_every_dtype(dtype):
    x = np.ones((4, 3, 5), dtype)
    y = F.zero_padding(x, LENGTHS)
    np.testing.assert_array_equal(y.numpy(), x * (np.arange(4)[:, None] < LENGTHS)[..., None])
    assert y.dtype == dtype


def test_zero_padding_of_a_large_batch():
    rng = np.random.default_rng(0)
    x, lengths = rng.standard_normal((150, 33, 17)), rng.integers(1, 151, 33)
    expected = np.where((np.arange(150)[:, None] < lengths)[..., None], x, 0)
    for threads in (1, 2):
        dl.set_num_threads(threads)
        np.testing.assert_array_equal(F.zero_padding(x, lengths).numpy(), expected)


# Recording -----------------------------------------------------------------------------------------------------------


def test_a_recorded_round_trip():
    weight = dl.tensor(np.ones((2, 1)), requires_grad=True)

    @dl.record
    def step(x):
        weight.grad = None
        sequence = packed(x)
        y, lengths = rnn.pad_packed_sequence(sequence._replace(data=sequence.data @ weight), True, -1.0)
        (y * y).sum().backward()
        return y, lengths

    for seed in range(3):
        x = np.random.default_rng(seed).standard_normal((4, 3, 2))
        y, lengths = step(x)
        steps = np.arange(4) < LENGTHS[:, None]
        np.testing.assert_allclose(y.numpy()[..., 0], np.where(steps, x.sum(2).T, -1), rtol=1e-15)
        wanted = 2 * np.einsum("bt,tbf->f", np.where(steps, x.sum(2).T, 0), x)
        np.testing.assert_allclose(weight.grad.numpy()[:, 0], wanted, rtol=1e-12)
        assert lengths.tolist() == LENGTHS.tolist()
    assert len(step.recordings) == 1


@pytest.mark.parametrize(
    "function, argument",
    [
        (lambda x, n: rnn.pack_padded_sequence(x, n).data, "pack_padded_sequence: reading lengths"),
        (lambda x, n: rnn.unpad_sequence(x, n)[0], "unpad_sequence: reading lengths"),
        (lambda x, n: rnn.PackedSequence(x, n).padded(), "PackedSequence: reading batch_sizes"),
    ],
)
def test_lengths_that_are_data_of_a_step(function, argument):
    with pytest.raises(RuntimeError, match=rf"{argument} at .*test_packing.*give the layer .* lengths="):
        dl.record(function)(np.ones((4, 3, 2)), np.array([4, 4, 2]))


def test_zero_padding_reads_lengths_at_replay():
    weight = dl.tensor(np.ones((4, 3, 2)), requires_grad=True)

    def function(lengths):
        weight.grad = None
        y = F.zero_padding(weight, lengths)
        (y * y).sum().backward()
        return y

    step = dl.record(function)
    for lengths in ([2, 4, 1], [1, 1, 1], [4, 4, 4], [3, 1, 2]):
        y = step(np.array(lengths))
        expected = (np.arange(4)[:, None] < np.array(lengths))[..., None] * np.ones(2)
        np.testing.assert_array_equal(y.numpy(), expected)
        np.testing.assert_array_equal(weight.grad.numpy(), 2 * expected)
    step.verify(np.array([2, 4, 1]))
    y = step(np.array([1, 2, 3])).numpy().copy()
    for lengths, text in (([4, 0, 9], r"lengths\[1\] is 0"), ([4, 4, 5], r"lengths\[2\] is 5")):
        with pytest.raises(IndexError, match=rf"zero_padding: {text}, expected 1 <= length <= 4"):
            step(np.array(lengths))
        np.testing.assert_array_equal(step.last.result.numpy(), y)
    assert len(step.recordings) == 1


# Bad input -----------------------------------------------------------------------------------------------------------

X = np.ones((4, 3, 2))


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: rnn.pack_padded_sequence(X, [4, 2, 0]), ValueError, r"lengths\[2\] is 0, expected 1 <= length <= 4"),
        (lambda: rnn.pack_padded_sequence(X, [4, -1, 0]), ValueError, r"lengths\[1\] is -1"),
        (lambda: rnn.pack_padded_sequence(X, [5, 2, 1]), ValueError, r"lengths\[0\] is 5, expected 1 <= length <= 4"),
        (lambda: rnn.pack_padded_sequence(X, [2, 3, 1, 1], True), ValueError, "enforce_sorted=False"),
        (lambda: rnn.pack_padded_sequence(X, [2, 1, 4]), ValueError, r"lengths\[2\] is 4, more than lengths\[1\]"),
        (lambda: rnn.pack_padded_sequence(X, [4, 4]), ValueError, r"got 2 lengths, expected 3 \(.*\(4, 3, 2\)\)"),
        (lambda: rnn.pack_padded_sequence(X, [4, 4, 4], True), ValueError, "got 3 lengths, expected 4"),
        (lambda: rnn.pack_padded_sequence(X, 4), ValueError, r"lengths: got shape \(\), expected one dimension"),
        (lambda: rnn.pack_padded_sequence(X, [4.0, 2.5, 1.0]), TypeError, "lengths: got dtype float32, expected int"),
        (lambda: rnn.pack_padded_sequence(X, [True] * 3), TypeError, "lengths: got dtype bool"),
        (lambda: rnn.pack_padded_sequence(X[0, 0], [1]), ValueError, r"shape \(2,\), expected \(T, B, ...\)"),
        (lambda: rnn.pack_padded_sequence(X[0, 0], [1], True), ValueError, r"expected \(B, T, ...\)"),
        (lambda: rnn.pack_padded_sequence(X[:, :0], []), ValueError, r"shape \(4, 0, 2\), expected at least one"),
        (
            lambda: rnn.pad_packed_sequence(packed(X), total_length=3),
            ValueError,
            "total_length: got 3, expected at least 4",
        ),
        (lambda: rnn.pad_packed_sequence((X, [1])), TypeError, "got tuple, expected a PackedSequence"),
        (lambda: rnn.unpack_sequence([X]), TypeError, "got list, expected a PackedSequence"),
        (lambda: rnn.PackedSequence(X[0], [1, 2]).lengths(), ValueError, r"batch_sizes: got \[1, 2\]"),
        (lambda: rnn.PackedSequence(X[0], []).lengths(), ValueError, r"batch_sizes: got \[\]"),
        (lambda: rnn.PackedSequence(X[0], [3, 0]).lengths(), ValueError, r"batch_sizes: got \[3, 0\]"),
        (lambda: rnn.PackedSequence(X[0], [3.0]).lengths(), TypeError, "batch_sizes: got dtype float32"),
        (lambda: rnn.PackedSequence(X[0], [2, 2]).padded(), ValueError, r"shape \(3, 2\), expected \(4, ...\)"),
        (lambda: rnn.PackedSequence(X[0], [3], [0, 2, 2]), ValueError, r"got \[0, 2, 2\], expected every .* 0 to 2"),
        (lambda: rnn.pad_sequence([]), ValueError, "pad_sequence: sequences: got none"),
        (lambda: rnn.pack_sequence([]), ValueError, "pack_sequence: sequences: got none"),
        (
            lambda: rnn.pad_sequence([X, X[..., :1]]),
            ValueError,
            r"sequence 1 has shape \(4, 3, 1\), expected \(4, 3, 2\) but for the length",
        ),
        (lambda: rnn.pack_sequence([X[0], X]), ValueError, r"pack_sequence: sequence 1 has shape \(4, 3, 2\)"),
        (lambda: rnn.pad_sequence([1.0]), ValueError, r"sequence 0 has shape \(\)"),
        (lambda: rnn.pad_sequence([[1.0], [2]]), TypeError, "sequence 1 is int64, but sequence 0 is float32"),
        (lambda: rnn.pad_sequence([X], padding_side="top"), ValueError, "got 'top', expected 'right' or 'left'"),
        (lambda: rnn.pack_sequence([X, X[:0]]), ValueError, "pack_sequence: sequence 1 has no steps"),
        (lambda: rnn.pack_sequence([X[:2], X]), ValueError, r"lengths\[1\] is 4, more .* enforce_sorted=False"),
        (lambda: rnn.unpad_sequence(X, [1, 5, 1]), ValueError, r"lengths\[1\] is 5, expected 0 <= length <= 4"),
        (lambda: rnn.unpad_sequence(X, [1, -1, 1]), ValueError, r"lengths\[1\] is -1"),
        (lambda: F.zero_padding(X, [1, 5, 1]), IndexError, r"lengths\[1\] is 5, expected 1 <= length <= 4"),
        (lambda: F.zero_padding(X, [0, 5, 1]), IndexError, r"lengths\[0\] is 0"),
        (lambda: F.zero_padding(X, [1, 2]), ValueError, r"lengths: got shape \(2,\), expected \(3,\)"),
        (lambda: F.zero_padding(X, [1.0, 2.0, 1.0]), TypeError, "lengths: got dtype float32, expected int64"),
        (lambda: F.zero_padding(X[0, 0], [1]), ValueError, r"shape \(2,\), expected \(T, B, ...\)"),
    ],
)
def test_bad_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call()
