"""Padding, interpolation, unfold and fold as recorded steps on 8 x 16 images of 32 x 32 float32, some next to NumPy."""

import numpy as np

from minidl import functional as F

from .bench_ops import recorded

SHAPE = (8, 16, 32, 32)
PADS = [(0, 0), (0, 0), (1, 1), (1, 1)]

OPERATIONS = {
    "pad constant": lambda x: F.pad(x, (1, 1, 1, 1)),
    "pad reflect": lambda x: F.pad(x, (1, 1, 1, 1), "reflect"),
    "pad replicate": lambda x: F.pad(x, (1, 1, 1, 1), "replicate"),
    "pad circular": lambda x: F.pad(x, (1, 1, 1, 1), "circular"),
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "linear": lambda x: F.interpolate(F.reshape(x, (8, 16, -1)), scale_factor=2, mode="linear"),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "unfold": lambda x: F.unfold(x, 3, padding=1),
    "fold": lambda x: F.fold(F.reshape(x, (8, 16, 1024)), 33, 2),
}

NUMPY = {
    "pad constant": lambda x: np.pad(x, PADS),
    "pad reflect": lambda x: np.pad(x, PADS, "reflect"),
    "pad replicate": lambda x: np.pad(x, PADS, "edge"),
    "pad circular": lambda x: np.pad(x, PADS, "wrap"),
    "nearest": lambda x: x.repeat(2, 2).repeat(2, 3),
}


class Operation:
    """One operation, replayed."""

    params = [list(OPERATIONS), ["forward", "forward and backward"]]
    param_names = ["operation", "passes"]

    def setup(self, name, passes):
        self.step, x = recorded(OPERATIONS[name], passes != "forward", SHAPE)
        y = self.step()
        self.step()
        if name in NUMPY:
            np.testing.assert_array_equal(y.numpy(), NUMPY[name](x.numpy()))
        if passes != "forward":  # every operation is linear, so the gradient adds up what the output does
            np.testing.assert_allclose((x.grad.numpy() * x.numpy()).sum(), y.numpy().sum(), rtol=1e-2)

    def time_operation(self, name, passes):
        self.step()


class NumPyTwin:
    """The same forward in NumPy."""

    params = [list(NUMPY)]
    param_names = ["operation"]

    def setup(self, name):
        self.x = np.random.default_rng(0).standard_normal(SHAPE).astype("float32")

    def time_operation(self, name):
        NUMPY[name](self.x)
