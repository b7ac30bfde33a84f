"""Saturation: biases far from zero hold a layer's tanh at its flat end, which lets no gradient pass."""

from treatment import digit_batches, treat

import minidl as dl
from minidl import functional as F
from minidl import nn, optim


def main():
    dl.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10))
    nn.init.constant_(model[2].bias, 6.0)
    return treat(model, F.cross_entropy, digit_batches(), optim.SGD(model.parameters(), lr=0.05))


if __name__ == "__main__":
    main()
