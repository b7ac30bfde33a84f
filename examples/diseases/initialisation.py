"""Wrong initial values: all weights of a layer are the same number, so that all of its units learn the same."""

from treatment import digit_batches, treat

import minidl as dl
from minidl import functional as F
from minidl import nn, optim


def main():
    dl.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10))
    for layer in (model[0], model[2]):
        nn.init.constant_(layer.weight, 0.05)
    return treat(model, F.cross_entropy, digit_batches(), optim.Adam(model.parameters(), lr=1e-3))


if __name__ == "__main__":
    main()
