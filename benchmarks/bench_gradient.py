"""What stabilization adds to a step."""

import numpy as np

import minidl as dl
from minidl import functional as F

WIRES = {
    "nothing": lambda x: x * 1.0,
    "clip_grad": lambda x: F.clip_grad(x * 1.0, 1.0),
    "clip_grad rows": lambda x: F.clip_grad(x * 1.0, 1.0, dim=0),
    "clip_grad value": lambda x: F.clip_grad(x * 1.0, max_value=0.5),
    "scale_grad": lambda x: F.scale_grad(x * 1.0, -1.0),
    "noise_grad": lambda x: F.noise_grad(x * 1.0, 0.1),
}


class Wire:
    """A wire behind a product, forward and backward as a recorded step: on activations of a small and a large layer."""

    params = [list(WIRES), [(32, 64), (256, 1024)]]
    param_names = ["wire", "shape"]

    def setup(self, name, shape):
        x, dy = dl.tensor(np.ones(shape, "float32"), requires_grad=True), np.ones(shape, "float32")

        def step():
            x.grad = None
            WIRES[name](x).backward(dy)

        self.step = dl.record(step)
        self.step()
        self.step()
        assert (x.grad.numpy() != 1).any() == (name != "nothing")

    def time_backward(self, name, shape):
        self.step()
