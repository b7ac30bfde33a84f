"""Convolutions as recorded steps, forward and backward, float32; some next to NumPy's forward."""

import itertools

import numpy as np

import minidl as dl
from minidl import nn

# name: layer, shape of the input
LAYERS = {
    "LeNet-5 first": (lambda: nn.Conv2d(1, 6, 5, padding=2), (64, 1, 28, 28)),
    "LeNet-5 second": (lambda: nn.Conv2d(6, 16, 5), (64, 6, 14, 14)),
    "3x3, 16 channels": (lambda: nn.Conv2d(16, 16, 3, padding=1, bias=False), (32, 16, 32, 32)),
    "3x3, 64 channels": (lambda: nn.Conv2d(64, 64, 3, padding=1, bias=False), (16, 64, 32, 32)),
    "3x3 stride 2": (lambda: nn.Conv2d(16, 32, 3, 2, 1, bias=False), (32, 16, 32, 32)),
    "3x3 dilation 2": (lambda: nn.Conv2d(16, 16, 3, padding=2, dilation=2), (32, 16, 32, 32)),
    "3x3 depthwise": (lambda: nn.Conv2d(32, 32, 3, padding=1, groups=32), (32, 32, 16, 16)),
    "1x1": (lambda: nn.Conv2d(64, 64, 1), (16, 64, 32, 32)),
    "1x1 stride 2": (lambda: nn.Conv2d(16, 32, 1, 2, bias=False), (32, 16, 32, 32)),
    "sequence, 5": (lambda: nn.Conv1d(32, 64, 5, padding=2), (32, 32, 128)),
    "sequence, 3, dilation 4": (lambda: nn.Conv1d(32, 32, 3, padding=4, dilation=4), (32, 32, 128)),
    "transposed 2x2 stride 2": (lambda: nn.ConvTranspose2d(32, 16, 2, 2), (32, 32, 16, 16)),
    "transposed 4x4 stride 2": (lambda: nn.ConvTranspose2d(32, 16, 4, 2, 1), (32, 32, 16, 16)),
    "transposed sequence": (lambda: nn.ConvTranspose1d(32, 16, 4, 2, 1), (32, 32, 64)),
}


def taps(x, w, product):
    """Sum over the taps of a kernel of odd size, with padding that keeps the size of the image."""
    margins = [(0, 0), (0, 0), *((k // 2, k // 2) for k in w.shape[2:])]
    padded, y = np.pad(x, margins), 0
    for tap in itertools.product(*map(range, w.shape[2:])):
        window = [slice(i, i + n) for i, n in zip(tap, x.shape[2:], strict=True)]
        y = y + product(w[(..., *tap)], padded[(..., *window)])
    return y


def dense(x, w):
    """All channels."""
    return taps(x, w, lambda w, x: (w @ x.reshape(*x.shape[:2], -1)).reshape(len(x), len(w), *x.shape[2:]))


def depthwise(x, w):
    """Each channel alone."""
    return taps(x, w, lambda w, x: w[:, :, None] * x)


def tiles(x, w):
    """Transposed, 2 x 2 with stride 2: every pixel becomes a tile of its own."""
    n, c, height, width = x.shape
    y = np.einsum("nchw,coij->nohiwj", x, w, optimize=True)
    return y.reshape(n, w.shape[1], 2 * height, 2 * width)


NUMPY = {
    "LeNet-5 first": dense,
    "3x3, 16 channels": dense,
    "3x3, 64 channels": dense,
    "3x3 depthwise": depthwise,
    "1x1": dense,
    "sequence, 5": dense,
    "transposed 2x2 stride 2": tiles,
}


def sample(name):
    """A layer and its input."""
    make, shape = LAYERS[name]
    dl.manual_seed(0)
    return make(), np.random.default_rng(0).standard_normal(shape).astype("float32")


class Convolution:
    """One layer, replayed."""

    params = [list(LAYERS), ["forward", "forward and backward"]]
    param_names = ["layer", "passes"]

    def setup(self, name, passes):
        layer, x = sample(name)
        x = dl.tensor(x, requires_grad=True)
        v = layer(x).numpy().copy()

        def step():
            x.grad = None
            layer.zero_grad()
            y = layer(x)
            if passes != "forward":
                y.backward(v)
            return y

        self.step = dl.record(step)
        y = self.step()
        self.step()
        if name in NUMPY:
            wanted = NUMPY[name](x.numpy(), layer.weight.numpy())
            np.testing.assert_allclose(y.numpy(), wanted, rtol=1e-3, atol=1e-3)
        if passes != "forward":  # y is linear in both (the bias is 0) and v is y: all inner products agree
            square = (y.numpy().astype(float) ** 2).sum()
            for tensor in (x, layer.weight):
                np.testing.assert_allclose(
                    (tensor.numpy().astype(float) * tensor.grad.numpy()).sum(), square, rtol=1e-4
                )

    def time_layer(self, name, passes):
        self.step()


class NumPyTwin:
    """The same forward in NumPy."""

    params = [list(NUMPY)]
    param_names = ["layer"]

    def setup(self, name):
        layer, self.x = sample(name)
        self.weight = layer.weight.numpy()

    def time_layer(self, name):
        NUMPY[name](self.x, self.weight)
