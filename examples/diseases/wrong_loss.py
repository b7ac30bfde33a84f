"""A loss that does not fit: probabilities from a softmax for a cross entropy that has one of its own."""

from treatment import digit_batches, treat

import minidl as dl
from minidl import functional as F
from minidl import nn, optim


def main():
    dl.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10), nn.Softmax(-1))
    return treat(model, F.cross_entropy, digit_batches(), optim.SGD(model.parameters(), lr=0.1))


if __name__ == "__main__":
    main()
