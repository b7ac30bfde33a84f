"""What shortcuts are for: deep networks with and without them, after the same few steps.

    python examples/residual_depth.py [FOLDER]

Two fully connected networks of 100 layers learn the digits that come with minidl, and two convolutional ones of 38
layers, with batch normalisation, the images of a folder in CIFAR's format. He et al. (2016) found that plain networks
get worse with depth, on the training data too, and that shortcuts cure it. The expected losses are bounds for these
settings, with room for other seeds.
"""

import sys
import time

import numpy as np

import minidl as dl
from minidl import functional as F
from minidl import models, nn, optim
from minidl.data import DataLoader, digits
from minidl.data.source import find_images, pixel_statistics
from minidl.data.transforms import Normalize

LAST = 20  # steps that the reported loss is the mean of


def mlp(residual, depth=100, width=64):
    """Layers of Linear and ReLU; in the one case each is added to its input."""
    hidden = [(nn.Linear(width, width), nn.ReLU()) for _ in range(depth - 1)]
    blocks = [nn.Residual(*layers) if residual else nn.Sequential(*layers) for layers in hidden]
    return nn.Sequential(*blocks, nn.Linear(width, 10))


def train(model, batches, lr, steps):
    """The loss at the end of some steps of Adam; ln 10 = 2.30 is that of a guess."""
    optimizer = optim.Adam(model.parameters(), lr=lr)

    @dl.record
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    losses = []
    while len(losses) < steps:
        losses += [float(step(x, y)) for x, y in batches]
    return np.mean(losses[steps - LAST : steps])


def compare(name, make, batches, lr, steps, expected):
    """Train both, and print what is expected beside what was measured."""
    for residual, wanted in zip((False, True), expected, strict=True):
        dl.manual_seed(0)
        began = time.perf_counter()
        loss = train(make(residual), batches(), lr, steps)
        kind = "residual" if residual else "plain"
        print(f"{name:22s} {kind:9s} {wanted:>14s} {loss:9.3f} {time.perf_counter() - began:8.0f} s", flush=True)


def main(folder=None):
    print(f"{'':32s} {'expected loss':>14s} {'measured':>9s} {'time':>10s}")
    data = digits()
    compare(
        "MLP, 100 layers",
        mlp,
        lambda: DataLoader(data, 64, shuffle=True, seed=0, drop_last=True),
        lr=1e-3,
        steps=440,
        expected=("above 0.5", "below 0.05"),
    )
    if folder is not None:
        images = find_images(folder).train
        normalize = Normalize(*pixel_statistics(images.images))
        compare(
            "CNN, 38 layers, width 8",
            lambda residual: models.resnet(38, width=8, residual=residual),
            lambda: DataLoader(images, 64, shuffle=True, seed=0, drop_last=True, transform=normalize),
            lr=3e-3,
            steps=120,
            expected=("above 2.0", "below 1.8"),
        )


if __name__ == "__main__":
    main(*sys.argv[1:2])
