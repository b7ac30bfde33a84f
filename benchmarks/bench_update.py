"""Update nodes over the 109,386 parameters of mnist_mlp: what clipping, the guard and the optimizers add to a step."""

import numpy as np

import minidl as dl
from minidl import nn, optim, stabilize

from .networks import NETWORKS

UPDATES = {
    "clip_grad_norm_": lambda ps: lambda: nn.utils.clip_grad_norm_(ps, 1.0),
    "clip_grad_value_": lambda ps: lambda: nn.utils.clip_grad_value_(ps, 1.0),
    "ClipParameterNorm": lambda ps: stabilize.ClipParameterNorm(ps, 1.0),
    "AdaptiveClip": lambda ps: stabilize.AdaptiveClip(ps, exclude_last=False),
    "AutoClip": lambda ps: stabilize.AutoClip(ps),
    "ZClip": lambda ps: stabilize.ZClip(ps),
    "CentralizeGradient": lambda ps: stabilize.CentralizeGradient(ps),
    "L1Decay": lambda ps: stabilize.L1Decay(ps, 1e-3),
    "L2Decay": lambda ps: stabilize.L2Decay(ps, 1e-3),
    "WeightDecay": lambda ps: stabilize.WeightDecay(optim.SGD(ps, lr=1e-3), 1e-3),
    "MaxNorm": lambda ps: stabilize.MaxNorm(ps, 1.0),
    "SGD": lambda ps: optim.SGD(ps, lr=0.01).step,
    "SGD momentum": lambda ps: optim.SGD(ps, lr=0.01, momentum=0.9).step,
    "Adam": lambda ps: optim.Adam(ps).step,
    "AdamW": lambda ps: optim.AdamW(ps).step,
    "Adadelta": lambda ps: optim.Adadelta(ps).step,
    "Adagrad": lambda ps: optim.Adagrad(ps).step,
    "Adamax": lambda ps: optim.Adamax(ps).step,
    "LAMB": lambda ps: optim.LAMB(ps).step,
    "Lion": lambda ps: optim.Lion(ps).step,
    "NAdam": lambda ps: optim.NAdam(ps).step,
    "RAdam": lambda ps: optim.RAdam(ps).step,
    "RMSprop": lambda ps: optim.RMSprop(ps).step,
    "RMSprop momentum centered": lambda ps: optim.RMSprop(ps, momentum=0.9, centered=True).step,
}
GRADIENTS_ONLY = list(UPDATES)[: list(UPDATES).index("WeightDecay")]


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
        assert changed != (name in GRADIENTS_ONLY)

    def time_update(self, name):
        self.step()


class LBFGS:
    """One iteration with a full history, over as many parameters, behind a loss that costs next to nothing."""

    def setup(self):
        x = dl.Parameter(np.linspace(-1, 1, 109_386, dtype="float32"))
        scale = np.linspace(1, 2, x.shape[0], dtype="float32")

        def closure():
            x.grad = scale * x.numpy()
            return 0.0

        self.optimizer, self.closure = optim.LBFGS([x], lr=1e-3, max_iter=1, history_size=10), closure
        for _ in range(12):
            self.optimizer.step(closure)
        assert len(self.optimizer.state["ro"]) == 10

    def time_step(self):
        self.optimizer.step(self.closure)
