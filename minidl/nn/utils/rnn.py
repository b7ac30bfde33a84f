"""Sequences of different lengths in one batch: as a list, padded to the longest, or packed without padding."""

import numpy as np

from minidl.engine import as_tensor
from minidl.functional import cat, getitem, split
from minidl.functional.sequence import explain_lengths
from minidl.nn.utils.packed import PackedSequence, integers, invert_permutation, numbered, with_padding
from minidl.tensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


def pack_padded_sequence(input, lengths, batch_first=False, enforce_sorted=True):
    """Pack a padded batch.

    Parameters
    ----------
    input : Tensor, shape (T, B, ...), or (B, T, ...) with `batch_first`
    lengths : integers, shape (B,)
        1 <= length <= T. Python reads them, so a recorded step refuses lengths that are its data: give the layer the
        padded input and ``lengths=`` instead.
    batch_first : bool
    enforce_sorted : bool
        Whether the lengths must not grow; False sorts the sequences.

    Returns
    -------
    PackedSequence

    Raises
    ------
    ValueError
        If a length is out of range, there is not one per sequence, or they grow though they must not.
    """
    input, lengths = _padded("pack_padded_sequence", input, lengths, batch_first)
    if not lengths.size:
        raise ValueError(f"pack_padded_sequence: input has shape {input.shape}, expected at least one sequence")
    order = _decreasing("pack_padded_sequence", lengths, enforce_sorted)
    t, b = (np.arange(lengths.max())[:, None] < lengths[order]).nonzero()
    data = getitem(input, (order[b], t) if batch_first else (t, order[b]))
    return PackedSequence(data, np.bincount(t), None if enforce_sorted else order)


def pad_packed_sequence(sequence, batch_first=False, padding_value=0.0, total_length=None):
    """Undo `pack_padded_sequence`.

    Parameters
    ----------
    sequence : PackedSequence
    batch_first : bool
        Whether the result is (B, T, ...) instead of (T, B, ...).
    padding_value : float
        What stands behind the end of a sequence.
    total_length : int, optional
        T; by default the longest length, and no less.

    Returns
    -------
    padded : Tensor, shape (T, B, ...)
        The sequences in the order that they had before packing.
    lengths : int64 Tensor, shape (B,)
    """
    numbers, lengths = _before_packing("pad_packed_sequence", sequence)
    longest = numbers.shape[1]
    if total_length is not None:
        if total_length < longest:
            raise ValueError(
                f"pad_packed_sequence: total_length: got {total_length}, expected at least {longest} (longest sequence)"
            )
        numbers = np.pad(numbers, [(0, 0), (0, total_length - longest)], constant_values=-1)
    return with_padding([sequence.data], numbers if batch_first else numbers.T, padding_value), Tensor(lengths)


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Sequences as one batch, padded to the longest.

    Parameters
    ----------
    sequences : list of Tensor, shapes (length, ...)
        Of one dtype, and of one shape but for the length, which may be 0.
    batch_first : bool
        Whether the result is (B, T, ...) instead of (T, B, ...).
    padding_value : float
    padding_side : {"right", "left"}
        Whether the padding stands behind the sequences or before them.

    Returns
    -------
    Tensor, shape (T, B, ...)
    """
    sequences, lengths = _sequences("pad_sequence", sequences)
    if padding_side not in ("right", "left"):
        raise ValueError(f"pad_sequence: padding_side: got {padding_side!r}, expected 'right' or 'left'")
    steps = np.arange(lengths.max()) < lengths[:, None]
    numbers = numbered(steps if padding_side == "right" else steps[:, ::-1])
    return with_padding(sequences, numbers if batch_first else numbers.T, padding_value)


def unpad_sequence(padded_sequences, lengths, batch_first=False):
    """Undo `pad_sequence`, where the padding stands behind the sequences.

    Parameters
    ----------
    padded_sequences : Tensor, shape (T, B, ...), or (B, T, ...) with `batch_first`
    lengths : integers, shape (B,)
        0 <= length <= T. Python reads them, as in `pack_padded_sequence`.
    batch_first : bool

    Returns
    -------
    list of Tensor, shapes (length, ...)
    """
    padded, lengths = _padded("unpad_sequence", padded_sequences, lengths, batch_first, shortest=0)
    if not lengths.size:
        return []
    b, t = (np.arange(lengths.max()) < lengths[:, None]).nonzero()
    return list(split(getitem(padded, (b, t) if batch_first else (t, b)), lengths.tolist()))


def pack_sequence(sequences, enforce_sorted=True):
    """Pack a list of sequences.

    Parameters
    ----------
    sequences : list of Tensor, shapes (length, ...)
        Of one dtype, and of one shape but for the length, which is at least 1.
    enforce_sorted : bool
        Whether the lengths must not grow; False sorts the sequences.

    Returns
    -------
    PackedSequence
    """
    sequences, lengths = _sequences("pack_sequence", sequences)
    if not lengths.all():
        raise ValueError(f"pack_sequence: sequence {lengths.argmin()} has no steps, expected at least one")
    order = _decreasing("pack_sequence", lengths, enforce_sorted)
    numbers = numbered(np.arange(lengths.max()) < lengths[:, None])[order].T
    data = getitem(cat(sequences), numbers[numbers >= 0])
    return PackedSequence(data, (numbers >= 0).sum(1), None if enforce_sorted else order)


def unpack_sequence(packed_sequences):
    """Undo `pack_sequence`: a list of Tensor, shapes (length, ...), in the order that they had before packing."""
    numbers, lengths = _before_packing("unpack_sequence", packed_sequences)
    return list(split(getitem(packed_sequences.data, numbers[numbers >= 0]), lengths.tolist()))


def _before_packing(name, packed):
    """Which rows of the data are the steps (B, T) of the batch that was packed, -1 for padding; and its lengths."""
    if not isinstance(packed, PackedSequence):
        raise TypeError(f"{name}: got {type(packed).__name__}, expected a PackedSequence")
    steps = packed.steps()
    numbers, lengths = numbered(steps).T, steps.sum(0)
    if packed.unsorted_indices is None:
        return numbers, lengths
    order = integers(name, "unsorted_indices", packed.unsorted_indices)
    return numbers[order], lengths[order]


def _decreasing(name, lengths, enforce_sorted):
    """The order of decreasing length; ValueError if the lengths must be in it and are not."""
    grows = np.flatnonzero(np.diff(lengths) > 0)
    if enforce_sorted and grows.size:
        b = grows[0]
        raise ValueError(
            f"{name}: lengths[{b + 1}] is {lengths[b + 1]}, more than lengths[{b}], which is {lengths[b]}; "
            "sort the sequences, or pass enforce_sorted=False"
        )
    return np.argsort(-lengths, kind="stable")


def _padded(name, input, lengths, batch_first, shortest=1):
    """A padded batch as a tensor, and its lengths as an array; ValueError if they do not fit."""
    input, lengths = as_tensor(input), integers(name, "lengths", lengths)
    if input.ndim < 2:
        raise ValueError(f"{name}: input has shape {input.shape}, expected {'(B, T' if batch_first else '(T, B'}, ...)")
    count, steps = input.shape[:2] if batch_first else input.shape[1::-1]
    if lengths.size != count:
        raise ValueError(f"{name}: got {lengths.size} lengths, expected {count} (input has shape {input.shape})")
    wrong = explain_lengths(lengths, steps, shortest)
    if wrong:
        raise ValueError(f"{name}: {wrong}")
    return input, lengths


def _sequences(name, sequences):
    """The sequences as tensors, and their lengths as an array; an error if they do not go together."""
    sequences = [as_tensor(sequence) for sequence in sequences]
    if not sequences:
        raise ValueError(f"{name}: sequences: got none, expected at least one")
    first = sequences[0]
    for i, x in enumerate(sequences):
        if not x.ndim:
            raise ValueError(f"{name}: sequence {i} has shape (), expected (length, ...)")
        if x.shape[1:] != first.shape[1:]:
            raise ValueError(f"{name}: sequence {i} has shape {x.shape}, expected {first.shape} but for the length")
        if x.dtype != first.dtype:
            raise TypeError(f"{name}: sequence {i} is {x.dtype}, but sequence 0 is {first.dtype}; expected one dtype")
    return sequences, np.array([len(x) for x in sequences])
