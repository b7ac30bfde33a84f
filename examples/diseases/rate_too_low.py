"""A learning rate that is too low: the loss hardly moves in a hundred steps."""

from treatment import digit_batches, treat

import minidl as dl
from minidl import functional as F
from minidl import nn, optim


def main():
    dl.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    return treat(model, F.cross_entropy, digit_batches(), optim.Adam(model.parameters(), lr=1e-6))


if __name__ == "__main__":
    main()
