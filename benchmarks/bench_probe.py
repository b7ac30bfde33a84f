"""What watching adds to the training step of mnist_mlp: both steps in interleaved blocks of one run."""

import time

import numpy as np

from minidl import diagnose, optim, record, stabilize
from minidl import functional as F

from .networks import NETWORKS, training

WATCHERS = {
    "Probe": lambda model, optimizer: stabilize.Probe(model),
    "Probe, every step": lambda model, optimizer: stabilize.Probe(model, every=1),
    "Monitor": diagnose.Monitor,
}
BLOCKS, STEPS = 15, 40


def steps(make_watcher):
    """The training step without and with a watcher, recorded, and a batch."""
    _, batch = training("mnist_mlp")
    model = NETWORKS["mnist_mlp"].make()
    optimizer = optim.Adam(model.parameters(), lr=1e-4)
    watcher = make_watcher(model, optimizer)

    def plain(x, y):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    def watched(x, y):
        with watcher:
            plain(x, y)

    return record(plain), record(watched), watcher, batch


class Watching:
    """Percent of the step's time."""

    params = [list(WATCHERS)]
    param_names = ["watcher"]
    unit = "percent"

    def track_percent(self, name):
        """Median over blocks of the time with the watcher by the time without."""
        *both, watcher, batch = steps(WATCHERS[name])
        times = np.zeros((2, BLOCKS + 1))
        for block in range(BLOCKS + 1):
            for i, step in enumerate(both):
                step(*batch)
                begin = time.perf_counter()
                for _ in range(STEPS):
                    step(*batch)
                times[i, block] = time.perf_counter() - begin
        assert watcher.layers and len(watcher.layers[0].signal()) > BLOCKS
        return 100 * (np.median(times[1, 1:] / times[0, 1:]) - 1)


class Diagnosis:
    """One examination of mnist_mlp by a batch, without trials."""

    def setup(self):
        _, self.batch = training("mnist_mlp")
        self.model = NETWORKS["mnist_mlp"].make()
        assert diagnose.examine(self.model, F.cross_entropy, tuple(self.batch)).healthy

    def time_examine(self):
        diagnose.examine(self.model, F.cross_entropy, tuple(self.batch))
