"""Update nodes over the 109,386 parameters of mnist_mlp: what clipping, the guard and the optimizers add to a step."""

import numpy as np

import minidl as dl
from minidl import nn, optim

from .networks import NETWORKS

UPDATES = {
    "clip_grad_norm_": lambda ps: lambda: nn.utils.clip_grad_norm_(ps, 1.0),
    "clip_grad_value_": lambda ps: lambda: nn.utils.clip_grad_value_(ps, 1.0),
    "SGD": lambda ps: optim.SGD(ps, lr=0.01).step,
    "SGD momentum": lambda ps: optim.SGD(ps, lr=0.01, momentum=0.9).step,
    "Adam": lambda ps: optim.Adam(ps).step,
    "AdamW": lambda ps: optim.AdamW(ps).step,
}


class Update:
    """One update node, replayed."""

    params = [list(UPDATES)]
    param_names = ["update"]

    def setup(self, name):
        dl.manual_seed(0)
        parameters = list(NETWORKS["mnist_mlp"].make().parameters())
        for parameter in parameters:
            parameter.grad = np.full(parameter.shape, 0.1, "float32")
        before = [parameter.numpy().copy() for parameter in parameters]
        self.step = dl.record(UPDATES[name](parameters))
        self.step()
        self.step()
        changed = any((parameter.numpy() != old).any() for parameter, old in zip(parameters, before, strict=True))
        assert changed != name.startswith("clip")

    def time_update(self, name):
        self.step()
