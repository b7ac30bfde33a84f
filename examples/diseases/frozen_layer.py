"""Frozen layers: all but the last were left out of the training, as is done to pretrained ones."""

from treatment import digit_batches, treat

import minidl as dl
from minidl import functional as F
from minidl import nn, optim


def main():
    dl.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 10))
    for parameter in model[:4].parameters():
        parameter.requires_grad = False  # as for fine-tuning, and then forgotten
    return treat(model, F.cross_entropy, digit_batches(), optim.Adam(model[4].parameters(), lr=1e-2))


if __name__ == "__main__":
    main()
