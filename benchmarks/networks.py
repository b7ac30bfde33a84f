"""The networks of the training benchmarks."""

from typing import NamedTuple

import numpy as np

import minidl as dl
from minidl import functional as F
from minidl import models, nn, optim


def deep_bn():
    """Thirty layers with batch normalisation."""
    layers = [layer for _ in range(30) for layer in (nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(64, 10))


def resnet_c64():
    """One residual block of 64 channels."""
    first = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()
    return nn.Sequential(*first, nn.BasicBlock(64, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class Network(NamedTuple):
    """How to make it, the shape of one sample, samples per batch, labels."""

    make: object
    shape: tuple
    batch: int
    classes: int = 10


NETWORKS = {
    "tiny_mlp": Network(lambda: models.mlp([4, 32, 32, 3]), (4,), 32, 3),
    "digits_mlp": Network(lambda: models.mlp([64, 64, 10]), (64,), 32),
    "mnist_mlp": Network(lambda: models.mlp([784, 128, 64, 10]), (784,), 64),
    "wide_mlp": Network(lambda: models.mlp([784, 1024, 1024, 10]), (784,), 256),
    "deep_bn": Network(deep_bn, (64,), 64),
    "small_cnn": Network(models.small_cnn, (1, 28, 28), 32),
    "lenet5": Network(models.lenet5, (1, 28, 28), 64),
    "resnet8": Network(lambda: models.resnet(8), (3, 32, 32), 32),
    "resnet_c64": Network(resnet_c64, (3, 32, 32), 16),
}


def training(name):
    """The plain training step of one network, and a batch for it."""
    network = NETWORKS[name]
    dl.manual_seed(0)
    model = network.make()
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
    x = rng.standard_normal((network.batch, *network.shape)).astype("float32")
    return step, (x, rng.integers(0, network.classes, network.batch))
