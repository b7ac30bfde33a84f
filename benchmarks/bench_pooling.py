"""Pooling as recorded steps, forward and backward, float32; some next to NumPy's forward."""

import numpy as np

import minidl as dl
from minidl import functional as F

# name: function, shape of the input
OPERATIONS = {
    "max 2x2, LeNet-5 first": (lambda x: F.max_pool2d(x, 2), (64, 6, 24, 24)),
    "max 2x2, LeNet-5 second": (lambda x: F.max_pool2d(x, 2), (64, 16, 8, 8)),
    "max 3x3 stride 2": (lambda x: F.max_pool2d(x, 3, 2, 1), (8, 16, 56, 56)),
    "max 3 of a sequence": (lambda x: F.max_pool1d(x, 3, 2), (32, 32, 128)),
    "mean 2x2": (lambda x: F.avg_pool2d(x, 2), (64, 6, 24, 24)),
    "mean 3x3 stride 1": (lambda x: F.avg_pool2d(x, 3, 1, 1), (8, 16, 28, 28)),
    "mean to 7x7": (lambda x: F.adaptive_avg_pool2d(x, 7), (8, 16, 24, 24)),
    "max to 7x7": (lambda x: F.adaptive_max_pool2d(x, 7), (8, 16, 24, 24)),
    "global mean": (lambda x: F.adaptive_avg_pool2d(x, 1), (64, 64, 7, 7)),
    "global max": (lambda x: F.adaptive_max_pool2d(x, 1), (64, 64, 7, 7)),
}


def tiles(x):
    """Windows of 2 x 2."""
    return x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2)


NUMPY = {
    "max 2x2, LeNet-5 first": lambda x: tiles(x).max((3, 5)),
    "max 2x2, LeNet-5 second": lambda x: tiles(x).max((3, 5)),
    "mean 2x2": lambda x: tiles(x).mean((3, 5)),
    "global mean": lambda x: x.mean((2, 3), keepdims=True),
    "global max": lambda x: x.max((2, 3), keepdims=True),
}


def values(name):
    """Input of an operation."""
    return np.random.default_rng(0).standard_normal(OPERATIONS[name][1]).astype("float32")


class Pooling:
    """One operation, replayed."""

    params = [list(OPERATIONS), ["forward", "forward and backward"]]
    param_names = ["operation", "passes"]

    def setup(self, name, passes):
        x = dl.tensor(values(name), requires_grad=True)

        def step():
            x.grad = None
            y = OPERATIONS[name][0](x)
            if passes != "forward":
                y.backward(np.ones(y.shape, "float32"))
            return y

        self.step = dl.record(step)
        y = self.step()
        self.step()
        if name in NUMPY:
            np.testing.assert_allclose(y.numpy(), NUMPY[name](x.numpy()), rtol=1e-4, atol=1e-5)
        if passes != "forward":  # of every output 1 goes back, but for what a mean gives to the padding
            assert 0.8 * y.array.size < x.grad.numpy().sum() < 1.001 * y.array.size

    def time_operation(self, name, passes):
        self.step()


class NumPyTwin:
    """The same forward in NumPy."""

    params = [list(NUMPY)]
    param_names = ["operation"]

    def setup(self, name):
        self.x = values(name)

    def time_operation(self, name):
        NUMPY[name](self.x)
