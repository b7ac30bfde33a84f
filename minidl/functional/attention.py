"""Attention: how much each query takes of each key's value."""

import math

import numpy as np

from minidl.engine import Node, as_tensor, memory
from minidl.engine.tensor import FLOATS
from minidl.functional import _backward as B
from minidl.functional._elementwise import sum_to
from minidl.functional.dropout import Dropout, check_probability
from minidl.functional.linear import matmul
from minidl.functional.shape import expand
from minidl.kernels import attention as K
from minidl.kernels import gemm


class AttentionWeights(Node):
    """w = softmax(scale q k^T + m);  dm = w (dw - sum of w dw),  dq = scale dm k,  dk = scale dm^T q.

    A mask of bools hides the keys where it is False, a mask of numbers those where it is -inf; `is_causal` hides those
    behind the query's own position. A query that sees no key has weights of zero, and so are the gradients.
    """

    name = "attention_weights"
    takes_masks = True

    def __init__(self, scale, is_causal):
        super().__init__()
        self.scale, self.is_causal = scale, is_causal

    def forward(self, q, k, mask=None):
        (L, E), S, batch = q.shape[-2:], k.shape[-2], math.prod(q.shape[:-2])
        w = self.new((*q.shape[:-1], S))
        self.call(gemm.matmul_nt, [w], [q, k], [L, S, E, 0, batch, L * S, L * E, S * E])
        shown, bias = (mask, None) if mask is None or mask.dtype == bool else (None, mask)
        layout = [0, 0] if mask is None else _layout(mask.array, w.shape)
        self.call(K.attention_weights, [w], [shown, bias], [batch, L, S, self.is_causal, *layout], [self.scale])
        self.q, self.k, self.w, self.sizes = q.array, k.array, w.array, (batch, L, S, E)
        return w

    def backward(self, dw):
        batch, L, S, E = self.sizes
        dq, dk = self.grad(0), self.grad(1)
        dmask = self.grad(2) if len(self.inputs) == 3 else None
        ds = memory.empty(dw.shape, dw.dtype)
        if dmask is not None:
            self.call(B.softmax.softmax, [ds], [dw, self.w], [batch * L, S, 1], [1.0])
            sum_to(self, dmask, ds)
        if dq is not None or dk is not None:
            self.call(B.softmax.softmax, [ds], [dw, self.w], [batch * L, S, 1], [self.scale])
        if dq is not None:
            self.call(gemm.matmul_nn, [dq], [ds, self.k], [L, E, S, 0, batch, L * E, L * S, S * E])
        if dk is not None:
            self.call(gemm.matmul_tn, [dk], [ds, self.q], [S, E, L, 0, batch, S * E, L * S, L * E])


def _layout(mask, shape):
    """Elements of `mask` from row to row of weights of this shape, then number, sizes and strides of the batch's
    dimensions; 0 where it repeats."""
    *strides, row, _ = (stride // mask.itemsize for stride in np.broadcast_to(mask, shape).strides)
    return [row, len(strides), *shape[:-2], *strides]


def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None):
    """softmax(scale query key^T + mask) value.

    Parameters
    ----------
    query : Tensor, shape (..., L, E)
    key : Tensor, shape (..., S, E)
    value : Tensor, shape (..., S, Ev)
        The dimensions in front are a batch (and heads), and broadcast.
    attn_mask : Tensor, optional
        Of a shape that broadcasts to (..., L, S). Bools: True where a query may look at a key. Numbers of the query's
        dtype: added to the scaled scores; -inf hides a key, whatever its score.
    dropout_p : float
        Probability with which a weight becomes 0; the others grow by 1 / (1 - p). There is no evaluation mode here:
        pass 0 then.
    is_causal : bool
        Whether query i sees only the keys 0 to i; with a mask, those of them that the mask shows.
    scale : float, optional
        1 / sqrt(E) by default.

    Returns
    -------
    Tensor, shape (..., L, Ev)
        A query that sees no key gets zeros, and gives gradients of zero; PyTorch gives NaN or zeros there.

    Raises
    ------
    ValueError
        If shapes do not fit.
    TypeError
        If dtypes differ.

    References
    ----------
    Vaswani et al., "Attention is all you need", 2017.
    """
    return attend(query, key, value, attn_mask, dropout_p, is_causal, scale)[0]


def attend(query, key, value, attn_mask, dropout_p, is_causal, scale=None):
    """The result of `scaled_dot_product_attention`, and the weights behind the dropout."""
    query, key, value = as_tensor(query), as_tensor(key), as_tensor(value)
    batch = _check(query, key, value)
    check_probability("scaled_dot_product_attention", dropout_p)
    query, key = expand(query, batch + query.shape[-2:]), expand(key, batch + key.shape[-2:])
    inputs = [query, key]
    if attn_mask is not None:
        inputs.append(_mask(attn_mask, query.dtype, (*query.shape[:-1], key.shape[-2])))
    scale = 1 / math.sqrt(max(query.shape[-1], 1)) if scale is None else float(scale)
    weights = AttentionWeights(scale, bool(is_causal)).apply(*inputs)
    if dropout_p > 0:
        weights = Dropout(dropout_p).apply(weights)
    return matmul(weights, value), weights


def _check(query, key, value):
    """The common batch of queries and keys; an error if the three do not belong together."""
    name = "scaled_dot_product_attention"
    for argument, x in (("query", query), ("key", key), ("value", value)):
        if x.ndim < 2:
            raise ValueError(f"{name}: {argument} has shape {x.shape}, expected at least 2 dimensions (..., length, E)")
        if x.dtype not in FLOATS or x.dtype != query.dtype:
            raise TypeError(f"{name}: {argument} is {x.dtype}, query {query.dtype}; expected one float dtype for all")
    if key.shape[-1] != query.shape[-1]:
        raise ValueError(
            f"{name}: key has shape {key.shape}, expected {query.shape[-1]} features as query {query.shape}"
        )
    if value.shape[-2] != key.shape[-2]:
        raise ValueError(f"{name}: value has shape {value.shape}, expected length {key.shape[-2]} as key {key.shape}")
    try:
        np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
        return np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    except ValueError:
        shapes = f"{query.shape}, {key.shape} and {value.shape}"
        raise ValueError(f"{name}: query, key and value have shapes {shapes}, whose batches do not broadcast") from None


def _mask(mask, dtype, shape):
    """`mask` as a tensor that broadcasts to `shape` and has its last dimension."""
    name, mask = "scaled_dot_product_attention", as_tensor(mask)
    if mask.dtype not in (np.bool_, dtype):
        raise TypeError(f"{name}: attn_mask is {mask.dtype}, expected bool or {dtype}")
    if len(mask.shape) > len(shape) or any(
        got not in (1, size) for got, size in zip(mask.shape[::-1], shape[::-1], strict=False)
    ):
        raise ValueError(f"{name}: attn_mask has shape {mask.shape}, expected one that broadcasts to {shape}")
    return expand(mask, (*mask.shape[:-1], shape[-1]))
