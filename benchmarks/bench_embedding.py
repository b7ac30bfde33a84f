"""Embeddings and bags of them as recorded steps, float32: 2048 characters, 2048 words; some next to NumPy's forward."""

import numpy as np

from minidl import functional as F

from .bench_ops import recorded

RNG = np.random.default_rng(0)
# shape of the table, tokens: some are frequent, as in texts
CHARACTERS = (65, 128), np.minimum(RNG.geometric(0.08, (32, 64)) - 1, 64)
WIDE = (65, 512), CHARACTERS[1]
WORDS = (10_000, 128), np.minimum(RNG.zipf(1.2, (32, 64)) - 1, 9999)
OFFSETS = np.append(0, np.sort(RNG.integers(0, 2048, 31)))

# name: table and tokens, function of both
OPERATIONS = {
    "characters": (CHARACTERS, F.embedding),
    "characters, wide": (WIDE, F.embedding),
    "words": (WORDS, F.embedding),
    "words, padding": (WORDS, lambda i, w: F.embedding(i, w, padding_idx=0)),
    "words, max_norm": (WORDS, lambda i, w: F.embedding(i, w, max_norm=5.0)),
    "sum": (WORDS, lambda i, w: F.embedding_bag(i, w, mode="sum")),
    "mean": (WORDS, F.embedding_bag),
    "max": (WORDS, lambda i, w: F.embedding_bag(i, w, mode="max")),
    "mean, ragged": (WORDS, lambda i, w: F.embedding_bag(i.ravel(), w, OFFSETS)),
}

NUMPY = {
    "characters": lambda i, w: w[i],
    "characters, wide": lambda i, w: w[i],
    "words": lambda i, w: w[i],
    "mean": lambda i, w: w[i].mean(1),
}


class Operation:
    """One operation, replayed."""

    params = [list(OPERATIONS), ["forward", "forward and backward"]]
    param_names = ["operation", "passes"]

    def setup(self, name, passes):
        (shape, tokens), function = OPERATIONS[name]
        self.step, w = recorded(lambda w: function(tokens, w), passes != "forward", shape)
        y = self.step()
        self.step()
        if name in NUMPY:
            np.testing.assert_allclose(y.numpy(), NUMPY[name](tokens, w.numpy()), rtol=1e-4, atol=1e-5)
        if passes != "forward" and "max" not in name and "padding" not in name:  # all is linear in the table
            np.testing.assert_allclose((w.grad.numpy() * w.numpy()).sum(), y.numpy().sum(), rtol=1e-2)

    def time_operation(self, name, passes):
        self.step()


class NumPyTwin:
    """The same forward in NumPy."""

    params = [list(NUMPY)]
    param_names = ["operation"]

    def setup(self, name):
        (shape, self.tokens), _ = OPERATIONS[name]
        self.w = np.random.default_rng(0).standard_normal(shape).astype("float32")

    def time_operation(self, name):
        NUMPY[name](self.tokens, self.w)
