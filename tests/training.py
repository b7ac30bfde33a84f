"""A small job that the tests of training share: two clouds of points."""

import numpy as np

import minidl as dl
from minidl import nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.train import Trainer


def clouds(size=100, seed=0):
    """Points around (1, 1) and (-1, -1), and which of the two."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, size)
    points = rng.standard_normal((size, 2)) * 0.7 + np.where(labels, 1, -1)[:, None]
    return TensorDataset(points.astype(np.float32), labels)


def make(seed=0, lr=0.05, **kwargs):
    """A trainer of a small model."""
    dl.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    return Trainer(model, optim.Adam(model.parameters(), lr=lr), **kwargs)


def batches(size=100, batch_size=32, seed=0):
    """A shuffled loader."""
    return DataLoader(clouds(size), batch_size, shuffle=True, seed=seed)


def weights(model):
    """Copies of the weights."""
    return {name: np.array(value) for name, value in model.state_dict().items()}


def same(one, other):
    """Whether two sets of weights are the same, bit for bit."""
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)
