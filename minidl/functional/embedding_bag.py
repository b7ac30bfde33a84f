"""Bags of embeddings: a sum, mean or maximum of rows of a table, without a copy of the rows."""

import numpy as np

from minidl.engine import Tensor, as_tensor, memory
from minidl.functional import _backward as B
from minidl.functional.embedding import check_lookup, check_max_norm, renormalize
from minidl.functional.index import Indexed, as_index
from minidl.kernels import embedding as K

MODES = ("mean", "sum", "max")


class Bags(Indexed):
    """What the nodes share: entries index[b], and bags of them that the offsets cut.

    Parameters
    ----------
    closed : bool
        Whether the last offset is where the last bag ends.
    padding_idx : int or None
        Row that counts in no bag.
    """

    name = "embedding_bag"
    words = "input", "the rows of weight"

    def __init__(self, closed, padding_idx):
        super().__init__()
        self.closed, self.skip = closed, -1 if padding_idx is None else padding_idx

    def cut(self, x, index, offsets):
        """Check index and offsets; the output."""
        count, entries = offsets.array.size, index.array.size
        self.linear = self.linear_index(x, [index])
        self.edges = memory.empty(count - self.closed + 1, np.int64)
        self.call(K.bag_edges, [self.edges], [offsets], [count, entries, self.closed])
        self.sizes = [*x.shape, count - self.closed, entries, self.skip]
        return self.new((count - self.closed, x.shape[1]))

    def explain_index(self, call):
        if call.kernel is not K.bag_edges:
            return super().explain_index(call)
        (offsets,), (_, entries, closed) = call.inputs, call.sizes
        low, high = np.append(0, offsets[:-1]), np.append(0, np.full(offsets.size - 1, entries))
        if closed:
            low[-1] = entries
        at = np.flatnonzero((offsets < low) | (offsets > high))[0]
        wanted = f"{low[at]} to {high[at]}" if low[at] < high[at] else f"{low[at]}"
        limits = f"they rise from 0 to at most {entries}, the size of input"
        return f"offsets[{at}] is {offsets[at]}, expected {wanted}; {limits}"


class SumBags(Bags):
    """y[s] = sum of f[b] w[index[b]] over the bag s;  dw[index[b]] += f[b] dy[s],  df[b] = dy[s] . w[index[b]].

    f are given weights or 1; for the mean 1 / length of the bag.
    """

    def __init__(self, closed, padding_idx, mean):
        super().__init__(closed, padding_idx)
        self.mean = mean

    def forward(self, x, index, offsets, weights=None):
        y = self.cut(x, index, offsets)
        self.share = memory.empty(index.shape, x.dtype)
        self.x = None if weights is None else x.array
        sizes = [*y.shape, self.skip, self.mean]
        self.call(K.sum_bags, [y, self.share], [x, self.linear, self.edges, weights], sizes)
        return y

    def backward(self, dy):
        if (dx := self.grad(0)) is not None:
            self.call(B.embedding.sum_bags, [dx], [dy, self.share, self.linear, self.edges], self.sizes)
        if self.x is not None and (df := self.grad(3)) is not None:
            self.call(B.embedding.bag_weights, [df], [dy, self.x, self.linear, self.edges], self.sizes)


class MaxBags(Bags):
    """y[s] = max of w[index[b]] over the bag s, at its row q;  dw[q] = sum of dy[s] over the bags that took q."""

    def forward(self, x, index, offsets):
        y = self.cut(x, index, offsets)
        self.argmax = memory.empty(y.shape, np.int64)
        self.call(K.max_bags, [y, self.argmax], [x, self.linear, self.edges], [*y.shape, self.skip])
        return y

    def backward(self, dy):
        self.call(B.embedding.max_bags, [self.grad()], [dy, self.argmax], self.sizes[:3])


def embedding_bag(
    input,
    weight,
    offsets=None,
    max_norm=None,
    norm_type=2,
    mode="mean",
    per_sample_weights=None,
    include_last_offset=False,
    padding_idx=None,
):
    """Sums, means or maxima of the rows of `weight` that bags of row numbers name; those of an empty bag are 0.

    Parameters
    ----------
    input : Tensor or array of int64, shape (B, L) or (N,)
        Row numbers, 0 <= input < num_embeddings: B bags of L, or all bags one after the other.
    weight : Tensor, shape (num_embeddings, embedding_dim)
        The table.
    offsets : Tensor or array of int64, shape (B,), optional
        For an input of one dimension: where the bags begin. The first is 0, and none is below the one before.
    max_norm, norm_type
        As for `embedding`.
    mode : {"mean", "sum", "max"}
        Among equal maxima the first gets the gradient; a NaN is a maximum.
    per_sample_weights : Tensor of the shape of input, optional
        With ``mode="sum"``: factors of the rows.
    include_last_offset : bool
        Whether there is one more offset, the size of the input.
    padding_idx : int, optional
        Row that does not count, and gets no gradient; negative counts from the end.

    Returns
    -------
    Tensor, shape (B, embedding_dim)

    Raises
    ------
    IndexError
        If a row number or an offset is out of range; names the first. In a replayed step, too.
    """
    name = "embedding_bag"
    input, weight, padding_idx = check_lookup(name, input, weight, padding_idx)
    offsets, closed = check_offsets(name, input, offsets, include_last_offset)
    weights = check_weights(name, input, weight, per_sample_weights, mode)
    if check_max_norm(name, max_norm) is not None:
        renormalize(name, weight, input, max_norm, norm_type)
    node = MaxBags(closed, padding_idx) if mode == "max" else SumBags(closed, padding_idx, mode == "mean")
    return node.apply(weight, input, offsets, *weights)


# What the arguments must be


def check_mode(name, mode):
    """`mode`, if there is one of this name; else ValueError."""
    if mode not in MODES:
        raise ValueError(f"{name}: mode: got {mode!r}, expected one of {', '.join(map(repr, MODES))}")
    return mode


def check_offsets(name, input, offsets, closed):
    """Where the bags begin, and whether the last offset is an end, for an input of one or two dimensions."""
    if input.ndim not in (1, 2):
        raise ValueError(f"{name}: input has shape {input.shape}, expected (B, L), or (N,) with offsets")
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(f"{name}: got offsets for input of shape {input.shape}, expected none: its rows are bags")
        return as_tensor(np.arange(input.shape[0]) * input.shape[1]), False
    if offsets is None:
        raise ValueError(f"{name}: got no offsets for input of shape {input.shape}, expected where its bags begin")
    offsets = as_index(name, offsets, "offsets")
    bags = offsets.array.size - bool(closed)
    if offsets.ndim != 1 or bags < 0 or bags == 0 < input.array.size:
        wanted = "(B + 1,)" if closed else "(B,)"
        raise ValueError(
            f"{name}: offsets has shape {offsets.shape}, expected {wanted} with bags for input of shape {input.shape}"
        )
    return offsets, bool(closed)


def check_weights(name, input, weight, per_sample_weights, mode):
    """A list with the weights as a tensor, or without anything."""
    check_mode(name, mode)
    if per_sample_weights is None:
        return []
    if mode != "sum":
        raise ValueError(f"{name}: per_sample_weights: got them with mode {mode!r}, expected mode 'sum'")
    given = per_sample_weights
    weights = given if isinstance(given, Tensor) else as_tensor(given, weight.dtype)
    if weights.shape != input.shape:
        raise ValueError(f"{name}: per_sample_weights has shape {weights.shape}, expected {input.shape} as input")
    if weights.dtype != weight.dtype:
        raise TypeError(f"{name}: per_sample_weights is {weights.dtype}, expected {weight.dtype} as weight")
    return [weights]
