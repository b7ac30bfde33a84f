"""Masked-out sequences: lengths that end before what matters, so that an LSTM never sees it."""

import numpy as np
from treatment import treat

import minidl as dl
from minidl import functional as F
from minidl import nn, optim


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 16, batch_first=True), nn.Linear(16, 2)

    def forward(self, x, lengths=None):
        _, (h, _) = self.lstm(x, lengths=lengths)
        return self.head(h[0])


def batch(rng, size=32, steps=16):
    """Sequences whose class is the sign of the last step, and lengths that belong to other sequences."""
    x = rng.standard_normal((size, steps, 3)).astype(np.float32)
    return x, rng.integers(2, 6, size), (x[:, -1, 0] > 0).astype(np.int64)


def main():
    dl.manual_seed(0)
    rng, model = np.random.default_rng(0), Classifier()
    batches = [batch(rng) for _ in range(20)]
    return treat(model, F.cross_entropy, batches, optim.Adam(model.parameters(), lr=0.02))


if __name__ == "__main__":
    main()
