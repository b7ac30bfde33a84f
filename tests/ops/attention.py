import numpy as np
from op_table import Op

from minidl import functional as F


def attention(q, k, v, mask=None, causal=False, scale=None):
    """softmax(scale q k^T + mask) v, and zeros where a mask hides all keys."""
    L, S = q.shape[-2], k.shape[-2]
    scale = 1 / np.sqrt(max(q.shape[-1], 1)) if scale is None else scale
    bias = np.zeros((L, S)) if mask is None else np.where(mask, 0, -np.inf) if mask.dtype == bool else mask
    bias = np.where(np.tri(L, S, dtype=bool), bias, -np.inf) if causal else bias
    scores = scale * (q @ np.swapaxes(k, -1, -2)) + bias
    top = scores.max(-1, keepdims=True, initial=-np.inf)
    e = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = e.sum(-1, keepdims=True)
    return e / np.where(total == 0, 1, total) @ v


def torch(*inputs, **options):
    library = __import__("torch")
    options = {name: library.tensor(x) if isinstance(x, np.ndarray) else x for name, x in options.items()}
    return library.nn.functional.scaled_dot_product_attention(*inputs, **options)


def shown(L, S):
    """A mask of bools that hides all keys from query 1."""
    mask = np.random.default_rng(5).random((L, S)) < 0.7
    mask[1] = False
    return mask


def infinite(x):
    """A mask of numbers of the dtype of `x` that does the same."""
    return np.where(shown(4, 6), 0.3, -np.inf).astype(str(x.dtype).removeprefix("torch."))


def from_layouts(x):
    """The last dimensions of (..., L, S, E) as queries, keys and values of one tensor."""
    return x[..., :2], x[..., 2:4], x[..., 4:]


QKV = ((2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 7))
SMALL = ((2, 4, 3), (2, 6, 3), (2, 6, 2))

OPS = [
    Op(
        "attention", F.scaled_dot_product_attention, attention,
        [
            QKV, SMALL, ((4, 5), (6, 5), (6, 3)), ((1, 1), (1, 1), (1, 1)), ((70, 2), (67, 2), (67, 2)),
            ((2, 4, 5), (1, 6, 5), (2, 6, 3)), ((4, 5), (2, 6, 5), (2, 6, 3)), ((2, 4, 5), (6, 5), (6, 3)), ((4, 5), (6, 5), (2, 6, 3)),
            ((0, 4, 5), (0, 6, 5), (0, 6, 5)), ((0, 5), (6, 5), (6, 3)), ((4, 5), (0, 5), (0, 3)), ((4, 0), (6, 0), (6, 3)), ((4, 5), (6, 5), (6, 0)),
        ],
        torch=torch,
    ),
    Op(
        "attention-itself", lambda x: F.scaled_dot_product_attention(x, x, x), lambda x: attention(x, x, x),
        [((2, 5, 3),), ((1, 4),)], torch=lambda x: torch(x, x, x),
    ),
    Op(
        "attention-parts", lambda x: F.scaled_dot_product_attention(*from_layouts(x)), lambda x: attention(*from_layouts(x)),
        [((2, 5, 6),)], torch=lambda x: torch(*from_layouts(x)),
    ),
    Op(
        "attention-causal", lambda *x: F.scaled_dot_product_attention(*x, is_causal=True), lambda *x: attention(*x, causal=True),
        [QKV, ((2, 7, 3), (2, 4, 3), (2, 4, 2)), ((5, 3), (5, 3), (5, 2)), ((1, 1), (1, 1), (1, 1)), ((0, 4, 5), (0, 6, 5), (0, 6, 5))],
        torch=lambda *x: torch(*x, is_causal=True),
    ),
    Op(
        "attention-scale", lambda *x: F.scaled_dot_product_attention(*x, scale=-0.7), lambda *x: attention(*x, scale=-0.7),
        [QKV], torch=lambda *x: torch(*x, scale=-0.7),
    ),
    Op(
        "attention-bools", lambda *x: F.scaled_dot_product_attention(*x, shown(4, 6)), lambda *x: attention(*x, shown(4, 6)),
        [QKV, SMALL], torch=lambda *x: torch(*x, attn_mask=shown(4, 6)),
    ),
    Op(
        "attention-infinities", lambda *x: F.scaled_dot_product_attention(*x, infinite(x[0])), lambda *x: attention(*x, infinite(x[0])),
        [QKV, SMALL], torch=lambda *x: torch(*x, attn_mask=infinite(x[0])),
    ),
    Op(
        "attention-causal-bools", lambda *x: F.scaled_dot_product_attention(*x, shown(4, 6), is_causal=True),
        lambda *x: attention(*x, shown(4, 6), causal=True), [QKV, SMALL],
        torch=lambda *x: torch(*x, attn_mask=shown(4, 6) & np.tri(4, 6, dtype=bool)),
    ),
    Op(
        "attention-numbers", F.scaled_dot_product_attention, attention,
        [(*QKV, (4, 6)), (*QKV, (2, 3, 4, 6)), (*QKV, (2, 1, 1, 6)), (*QKV, (3, 4, 1)), (*SMALL, (2, 1, 6))],
        torch=lambda q, k, v, m: torch(q, k, v, attn_mask=m),
    ),
    Op("attention-fewer", F.scaled_dot_product_attention, attention, [(*QKV, (6,)), (*QKV, ())]),
]  # fmt: skip
