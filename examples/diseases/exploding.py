"""Exploding gradients: ten ReLU layers whose weights are three times too large, so that each triples what passes."""

from treatment import digit_batches, treat

import minidl as dl
from minidl import functional as F
from minidl import nn, optim


def main():
    dl.manual_seed(0)
    hidden = [layer for _ in range(9) for layer in (nn.Linear(64, 64), nn.ReLU())]
    model = nn.Sequential(*hidden, nn.Linear(64, 10))
    for weight in model.parameters():
        if weight.ndim == 2:
            nn.init.normal_(weight, std=0.5)
    return treat(model, F.cross_entropy, digit_batches(), optim.SGD(model.parameters(), lr=0.05))


if __name__ == "__main__":
    main()
