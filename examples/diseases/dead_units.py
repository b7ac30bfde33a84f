"""Dead units: biases so far below zero, as one step that was too long leaves them, that a layer's ReLUs never open."""

from treatment import digit_batches, treat

import minidl as dl
from minidl import functional as F
from minidl import nn, optim


def main():
    dl.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    nn.init.constant_(model[2].bias, -8.0)
    return treat(model, F.cross_entropy, digit_batches(), optim.Adam(model.parameters(), lr=1e-3))


if __name__ == "__main__":
    main()
