"""NaN and Inf: a logarithm of what may be zero, and behind a ReLU often is."""

from treatment import digit_batches, treat

import minidl as dl
from minidl import functional as F
from minidl import nn, optim


class Log(nn.Module):
    """The logarithm, layer by layer."""

    def forward(self, x):
        return F.log(x)


def main():
    dl.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), Log(), nn.Linear(64, 10))
    return treat(model, F.cross_entropy, digit_batches(), optim.Adam(model.parameters(), lr=1e-3))


if __name__ == "__main__":
    main()
