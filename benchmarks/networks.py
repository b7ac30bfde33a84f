"""The networks of the training benchmarks."""

import itertools
from typing import NamedTuple

import numpy as np

import minidl as dl
from minidl import functional as F
from minidl import nn, optim


def mlp(*widths):
    """Linear layers with ReLU between them."""
    layers = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def deep_bn():
    """Thirty layers with batch normalisation."""
    layers = [layer for _ in range(30) for layer in (nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(64, 10))


def small_cnn():
    """One convolution, the mean of each channel, two linear layers."""
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), *mlp(32, 64, 10)
    return nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), *head)


def lenet5():
    """LeNet-5 with max pooling and ReLU: LeCun et al. (1998)."""
    first = nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)
    second = nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)
    return nn.Sequential(*first, *second, nn.Flatten(), *mlp(400, 120, 84, 10))


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut: He et al. (2015)."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride > 1 or inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, x):
        h = self.bn1(self.conv1(x), activation="relu")
        return self.bn2(self.conv2(h), activation="relu", residual=self.shortcut(x))


def resnet(*blocks):
    """Blocks between a first convolution and the mean of each channel; a block is (inputs, outputs, stride)."""
    width = blocks[0][0]
    first = nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
    last = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(blocks[-1][1], 10)
    return nn.Sequential(*first, *itertools.starmap(BasicBlock, blocks), *last)


class Network(NamedTuple):
    """How to make it, the shape of one sample, samples per batch, labels."""

    make: object
    shape: tuple
    batch: int
    classes: int = 10


NETWORKS = {
    "tiny_mlp": Network(lambda: mlp(4, 32, 32, 3), (4,), 32, 3),
    "digits_mlp": Network(lambda: mlp(64, 64, 10), (64,), 32),
    "mnist_mlp": Network(lambda: mlp(784, 128, 64, 10), (784,), 64),
    "wide_mlp": Network(lambda: mlp(784, 1024, 1024, 10), (784,), 256),
    "deep_bn": Network(deep_bn, (64,), 64),
    "small_cnn": Network(small_cnn, (1, 28, 28), 32),
    "lenet5": Network(lenet5, (1, 28, 28), 64),
    "resnet8": Network(lambda: resnet((16, 16, 1), (16, 32, 2), (32, 64, 2)), (3, 32, 32), 32),
    "resnet_c64": Network(lambda: resnet((64, 64, 1)), (3, 32, 32), 16),
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
