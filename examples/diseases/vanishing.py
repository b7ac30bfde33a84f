"""Vanishing gradients: twenty tanh layers with PyTorch's initial values, each of which takes half of the gradient."""

from treatment import digit_batches, treat

import minidl as dl
from minidl import functional as F
from minidl import nn, optim


def main():
    dl.manual_seed(0)
    hidden = [layer for _ in range(19) for layer in (nn.Linear(64, 64), nn.Tanh())]
    model = nn.Sequential(*hidden, nn.Linear(64, 10))
    nn.init.torch_(model)  # minidl's own keep the size of what passes through
    return treat(model, F.cross_entropy, digit_batches(), optim.Adam(model.parameters(), lr=1e-3))


if __name__ == "__main__":
    main()
