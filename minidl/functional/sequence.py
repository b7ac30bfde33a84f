"""Batches (T, B, ...) of sequences of different lengths: what lies behind the end of each is padding."""

import math

import numpy as np

from minidl.engine import Node, as_tensor
from minidl.kernels import index as K


class ZeroPadding(Node):
    """y[t, b] = x[t, b] where t < lengths[b], else 0;  dx likewise from dy."""

    name = "zero_padding"

    def forward(self, x, lengths):
        y = self.new(x.shape)
        self.lengths, self.sizes = lengths.array, [*x.shape[:2], math.prod(x.shape[2:])]
        self.call(K.zero_padding, [y], [x, lengths], self.sizes)
        return y

    def backward(self, dy):
        self.call(K.zero_padding, [self.grad()], [dy, self.lengths], self.sizes)

    def explain_index(self, call):
        return explain_lengths(call.inputs[1], call.sizes[0])


def zero_padding(input, lengths):
    """The first `lengths[b]` steps of every sequence, and zeros behind them, whatever stood there: NaN, too.

    Parameters
    ----------
    input : Tensor, shape (T, B, ...)
    lengths : int64 Tensor, shape (B,)
        1 <= length <= T. A recorded step reads them anew at every replay.

    Returns
    -------
    Tensor of the shape of `input`; the gradient in the padding is 0, too

    Raises
    ------
    IndexError
        If a length is out of range; names the first.
    """
    input, lengths = as_tensor(input), as_tensor(lengths)
    if input.ndim < 2:
        raise ValueError(f"zero_padding: input has shape {input.shape}, expected (T, B, ...)")
    if lengths.dtype != np.int64:
        raise TypeError(f"zero_padding: lengths: got dtype {lengths.dtype}, expected int64")
    if lengths.shape != input.shape[1:2]:
        raise ValueError(
            f"zero_padding: lengths: got shape {lengths.shape}, expected {input.shape[1:2]}, "
            f"one for each sequence of input (shape {input.shape})"
        )
    return ZeroPadding().apply(input, lengths)


def explain_lengths(lengths, longest, shortest=1):
    """What is wrong with the first length out of range; None if none is."""
    wrong = np.flatnonzero((lengths < shortest) | (lengths > longest))
    if not wrong.size:
        return None
    b = wrong[0]
    return f"lengths[{b}] is {lengths[b]}, expected {shortest} <= length <= {longest} (the steps of the input)"
