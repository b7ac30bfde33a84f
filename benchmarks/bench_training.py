"""One training step: forward, loss, backward, clipping, Adam."""

import minidl as dl

from .networks import NETWORKS, training


class TrainingStep:
    """The same function, eager and replayed."""

    params = [list(NETWORKS), ["eager", "replayed"]]
    param_names = ["network", "mode"]

    def setup(self, network, mode):
        step, self.batch = training(network)
        self.step = dl.record(step) if mode == "replayed" else step
        losses = [float(self.step(*self.batch)) for _ in range(30)]
        assert losses[-1] < losses[0], "the network must learn its batch"

    def time_step(self, network, mode):
        self.step(*self.batch)


class Memory:
    """Peak memory of a process that trains for 20 recorded steps."""

    params = [list(NETWORKS)]
    param_names = ["network"]

    def peakmem_training(self, network):
        step, batch = training(network)
        step = dl.record(step)
        for _ in range(20):
            step(*batch)
