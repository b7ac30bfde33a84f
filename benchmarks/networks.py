"""The networks of the training benchmarks."""

import numpy as np

import minidl as dl
from minidl import functional as F
from minidl import nn, optim

MLPS = {
    "tiny_mlp": ((4, 32, 32, 3), 32),
    "digits_mlp": ((64, 64, 10), 32),
    "mnist_mlp": ((784, 128, 64, 10), 64),
    "wide_mlp": ((784, 1024, 1024, 10), 256),
}


def mlp(widths):
    """Linear layers with ReLU between them."""
    layers = []
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def training(name):
    """The plain training step of one network, and a batch for it."""
    widths, size = MLPS[name]
    dl.manual_seed(0)
    model = mlp(widths)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    parameters = list(model.parameters())

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return loss

    rng = np.random.default_rng(0)
    x = rng.standard_normal((size, widths[0])).astype("float32")
    return step, (x, rng.integers(0, widths[-1], size))
