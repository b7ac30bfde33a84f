"""What the engine costs beside its kernels: recording, and replay per node."""

import numpy as np

import minidl as dl
from minidl import functional as F

NODES = 1000


def chain(x):
    """A thousand nodes on one number each: all overhead, no work."""
    for _ in range(NODES):
        x = F.relu(x)
    return x


class Tape:
    """A chain of 1,000 relu nodes on one element."""

    def setup(self):
        self.x = np.ones(1, "float32")
        self.step = dl.record(chain)
        assert self.step(self.x).numpy() == 1
        assert len(self.step.last.tape) == NODES

    def time_eager(self):
        chain(self.x)

    def time_record(self):
        dl.record(chain)(self.x)

    def time_replay(self):
        self.step(self.x)


class Call:
    """Calling a recorded step that does next to nothing: what a user's loop pays per step."""

    def setup(self):
        self.step = dl.record(F.relu)
        self.x = np.ones((32, 64), "float32")
        assert (self.step(self.x).numpy() == 1).all()

    def time_call(self):
        self.step(self.x)


class Backward:
    """Eager backward through 1,000 nodes."""

    def setup(self):
        self.x = dl.tensor(np.ones(1, "float32"), requires_grad=True)
        chain(self.x).backward()
        assert self.x.grad.numpy() == 1

    def time_forward_and_backward(self):
        chain(self.x).backward()
