"""Attention with several heads."""

import functools
import math

import numpy as np

from minidl import functional as F
from minidl.engine import as_tensor, memory
from minidl.functional.attention import attend
from minidl.functional.convolution import sizes_of
from minidl.functional.join import Split
from minidl.nn import init
from minidl.nn.linear import Linear
from minidl.nn.module import Module
from minidl.nn.values import float_dtype
from minidl.tensor import Parameter


class OutProjection(Linear):
    """The linear layer behind the heads: weights of Xavier's, for no ReLU follows, and in PyTorch, too, a bias of 0."""

    def reset_parameters(self):
        init.xavier_uniform_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def reset_parameters_torch(self):
        init.torch_uniform_(self.weight, self.in_features)
        if self.bias is not None:
            init.zeros_(self.bias)


class MultiheadAttention(Module):
    """Several attentions side by side, each on its own projections of queries, keys and values: Vaswani et al. (2017).

    Where query, key and value are one tensor, their projections are one product.

    Parameters
    ----------
    embed_dim, num_heads : int
        E and H; H divides E.
    dropout : float
        Probability with which a weight becomes 0 in training.
    bias : bool
        Whether the projections have biases.
    add_bias_kv, add_zero_attn : bool
        Keep PyTorch's order of arguments; only False is supported.
    kdim, vdim : int, optional
        Features of keys and values; E by default.
    batch_first : bool
        Whether the batch comes before the length.
    dtype : dtype or str

    Shapes
    ------
    query, output : (L, N, E), (N, L, E) with `batch_first`, or (L, E)
    key : (S, N, kdim), (N, S, kdim) or (S, kdim)
    value : (S, N, vdim), (N, S, vdim) or (S, vdim)
    in_proj_weight, in_proj_bias : (3 E, E), (3 E,)
        For queries, keys and values, one below the other.
    q_proj_weight, k_proj_weight, v_proj_weight : (E, E), (E, kdim), (E, vdim)
        Instead of `in_proj_weight`, if kdim or vdim is not E.
    out_proj : weight (E, E), bias (E,)
    """

    def __init__(
        self, embed_dim, num_heads, dropout=0.0, bias=True, add_bias_kv=False, add_zero_attn=False, kdim=None,
        vdim=None, batch_first=False, dtype="float32",
    ):  # fmt: skip
        super().__init__()
        name, E = "MultiheadAttention", embed_dim
        (self.embed_dim,) = sizes_of(name, "embed_dim", E, 1, 1)
        (self.num_heads,) = sizes_of(name, "num_heads", num_heads, 1, 1)
        (self.kdim,) = sizes_of(name, "kdim", E if kdim is None else kdim, 1, 1)
        (self.vdim,) = sizes_of(name, "vdim", E if vdim is None else vdim, 1, 1)
        if E % num_heads:
            raise ValueError(f"{name}: num_heads: got {num_heads}, expected a divisor of embed_dim={E}")
        if not 0 <= dropout <= 1:
            raise ValueError(f"{name}: dropout: got {dropout!r}, expected 0 <= dropout <= 1")
        for argument, value in (("add_bias_kv", add_bias_kv), ("add_zero_attn", add_zero_attn)):
            if value:
                raise ValueError(f"{name}: {argument}: got {value!r}, but only False is supported")
        dtype = float_dtype(name, dtype)
        self.head_dim, self.dropout, self.batch_first = E // self.num_heads, dropout, batch_first
        packed = self.kdim == self.vdim == E

        def weight(rows, columns, there):
            return Parameter(memory.empty((rows, columns), dtype)) if there else None

        self.in_proj_weight = weight(3 * E, E, packed)
        self.q_proj_weight = weight(E, E, not packed)
        self.k_proj_weight = weight(E, self.kdim, not packed)
        self.v_proj_weight = weight(E, self.vdim, not packed)
        self.in_proj_bias = Parameter(memory.empty(3 * E, dtype)) if bias else None
        self.out_proj = OutProjection(E, E, bias, dtype)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw new initial values for all but `out_proj`: Xavier's uniform ones for the weights, and a bias of 0."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)

    reset_parameters_torch = reset_parameters

    def forward(
        self, query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None, average_attn_weights=True,
        is_causal=False,
    ):  # fmt: skip
        """What the queries gather from the values.

        Parameters
        ----------
        query, key, value : Tensor
        key_padding_mask : Tensor, shape (N, S) or (S,), optional
            Bools: True where a key is hidden. Numbers of the query's dtype: added to its scores.
        need_weights : bool
            Whether to return the weights as well.
        attn_mask : Tensor, shape (L, S) or (N H, L, S), optional
            Bools: True where a key is hidden from a query. Numbers of the query's dtype: added to the scores.
        average_attn_weights : bool
            Whether the weights are means over the heads.
        is_causal : bool
            Whether query i sees only the keys 0 to i, of those that the masks leave. PyTorch needs a mask, too.

        Returns
        -------
        output : Tensor
            Before `out_proj`, a query that sees no key has gathered zeros; PyTorch gives NaN or zeros.
        weights : Tensor, shape (N, L, S) or (L, S), or with H before L; None without `need_weights`
            As they are behind the dropout.
        """
        tensors = {id(x): as_tensor(x) for x in (query, key, value)}  # what is given twice stays one tensor
        query, key, value = (tensors[id(x)] for x in (query, key, value))
        N, L, S = self._check(query, key, value)
        H, dtype = self.num_heads, query.dtype
        padding = _mask("key_padding_mask", key_padding_mask, dtype, {(N, S)[3 - query.ndim :]: (N, 1, 1, S)})
        mask = _mask("attn_mask", attn_mask, dtype, {(L, S): (1, 1, L, S), (N * H, L, S): (N, H, L, S)})
        dropout = self.dropout if self.training else 0.0
        q, k, v = self._heads(query, key, value)
        y, weights = attend(q, k, v, _joined(padding, mask), dropout, is_causal)
        y = F.permute(y, (0, 2, 1, 3) if self.batch_first else (2, 0, 1, 3))
        output = self.out_proj(F.reshape(y, query.shape))
        if not need_weights:
            return output, None
        weights = weights.mean(1) if average_attn_weights else weights
        return output, weights if query.ndim == 3 else F.squeeze(weights, 0)

    def _check(self, query, key, value):
        """Sizes of the batch, of the query and of the key; ValueError if the three do not fit."""
        for name, x, size in (("query", query, self.embed_dim), ("key", key, self.kdim), ("value", value, self.vdim)):
            if x.ndim not in (2, 3) or x.ndim != query.ndim:
                raise ValueError(
                    f"{name} has shape {x.shape}, query {query.shape}; expected 3 dimensions, or 2, for all"
                )
            if x.shape[-1] != size:
                raise ValueError(f"{name} has {x.shape[-1]} features (shape {x.shape}), expected {size}")
        if value.shape[:-1] != key.shape[:-1]:
            raise ValueError(f"value has shape {value.shape}, expected length and batch of key {key.shape}")
        if query.ndim == 2:
            return 1, len(query), len(key)
        batch = 0 if self.batch_first else 1
        if key.shape[batch] != query.shape[batch]:
            raise ValueError(f"key has shape {key.shape}, expected batch {query.shape[batch]} as query {query.shape}")
        return query.shape[batch], query.shape[1 - batch], key.shape[1 - batch]

    def _heads(self, query, key, value):
        """Projected queries, keys and values, each (N, H, length, head_dim); neighbours that are one tensor at once."""
        packed, bias = self.in_proj_weight is not None, self.in_proj_bias
        sources = [[query, 1]]
        for x in (key, value):
            if packed and x is sources[-1][0]:
                sources[-1][1] += 1
            else:
                sources.append([x, 1])
        sizes = [count * self.embed_dim for _, count in sources]
        weights = _rows(self.in_proj_weight, sizes) if packed else [getattr(self, f"{c}_proj_weight") for c in "qkv"]
        biases = [None] * len(sizes) if bias is None else _rows(bias, sizes)
        heads = []
        for (x, count), weight, bias in zip(sources, weights, biases, strict=True):
            heads += self._apart(F.linear(x, weight, bias), count)
        return heads

    def _apart(self, x, count):
        """The heads of `count` projections that lie side by side in `x`."""
        outer = x.shape[:-1] if x.ndim == 3 else (1, len(x)) if self.batch_first else (len(x), 1)
        shape = (*outer, count, self.num_heads, self.head_dim)
        order = (2, 0, 3, 1, 4) if self.batch_first else (2, 1, 3, 0, 4)
        return Split(lambda array: list(array.reshape(shape).transpose(order))).apply(x)

    def extra_repr(self):
        return f"{self.embed_dim}, {self.num_heads}, dropout={self.dropout}, batch_first={self.batch_first}"


def _rows(parameter, sizes):
    """Rows of a packed parameter."""
    return [parameter] if len(sizes) == 1 else F.split(parameter, sizes)


def _mask(name, mask, dtype, shapes):
    """`mask` as a tensor of four dimensions; `shapes` has them by the shapes that it may have."""
    if mask is None:
        return None
    mask = as_tensor(mask)
    if mask.dtype not in (np.bool_, dtype):
        raise TypeError(f"{name} is {mask.dtype}, expected bool or {dtype}")
    if mask.shape not in shapes:
        raise ValueError(f"{name} has shape {mask.shape}, expected {' or '.join(map(str, shapes))}")
    return F.reshape(mask, shapes[mask.shape])


def _joined(*masks):
    """Masks that hide a key by True as one for `attend`, where False does."""
    hides = [mask for mask in masks if mask is not None and mask.dtype == bool]
    biases = [mask for mask in masks if mask is not None and mask.dtype != bool]
    hide = functools.reduce(F.logical_or, hides) if hides else None
    bias = functools.reduce(F.add, biases) if biases else None
    if hide is None or bias is None:
        return bias if hide is None else F.logical_not(hide)
    return F.masked_fill(bias, hide, -math.inf)
