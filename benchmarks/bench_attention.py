"""Attention as recorded steps, forward and backward, float32; some next to NumPy's forward."""

import numpy as np

from minidl import functional as F
from minidl import nn

from .bench_ops import recorded

SMALL, LARGE = (32, 4, 16, 16), (32, 4, 64, 32)  # batch, heads, length, features of a head


def attention(**options):
    """Of a tensor to itself."""
    return lambda x: F.scaled_dot_product_attention(x, x, x, **options)


def layer(features, **options):
    """A layer with four heads, and what it does in training."""
    module = nn.MultiheadAttention(features, 4, batch_first=True)

    def operation(x):
        module.zero_grad()
        return module(x, x, x, need_weights=False, **options)[0]

    return operation


PADDING = np.arange(64) < 50

# name: makes the operation, shape of the input
OPERATIONS = {
    "small": (attention, SMALL),
    "large": (attention, LARGE),
    "large, causal": (lambda: attention(is_causal=True), LARGE),
    "large, padding": (lambda: attention(attn_mask=PADDING), LARGE),
    "large, dropout": (lambda: attention(dropout_p=0.1), LARGE),
    "small layer": (lambda: layer(64), (32, 16, 64)),
    "large layer": (lambda: layer(128), (32, 64, 128)),
    "large layer, causal": (lambda: layer(128, is_causal=True), (32, 64, 128)),
}


def by_hand(x, bias=0):
    """NumPy's attention of `x` to itself."""
    scores = x @ x.swapaxes(-1, -2) / np.float32(np.sqrt(x.shape[-1])) + bias
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True) @ x


BIAS = np.where(PADDING, 0, -np.inf).astype("float32")

NUMPY = {"small": by_hand, "large": by_hand, "large, padding": lambda x: by_hand(x, BIAS)}


class Attention:
    """One operation, replayed."""

    params = [list(OPERATIONS), ["forward", "forward and backward"]]
    param_names = ["operation", "passes"]

    def setup(self, name, passes):
        make, shape = OPERATIONS[name]
        self.step, x = recorded(make(), passes != "forward", shape)
        y = self.step()
        self.step()
        if name in NUMPY:
            np.testing.assert_allclose(y.numpy(), NUMPY[name](x.numpy()), rtol=1e-3, atol=1e-4)
        if passes != "forward":
            assert np.isfinite(x.grad.numpy()).all() and x.grad.numpy().any()

    def time_operation(self, name, passes):
        self.step()


class NumPyTwin:
    """The same forward in NumPy."""

    params = [list(NUMPY)]
    param_names = ["operation"]

    def setup(self, name):
        self.x = np.random.default_rng(0).standard_normal(OPERATIONS[name][1]).astype("float32")

    def time_operation(self, name):
        NUMPY[name](self.x)
