"""What keeps deep models trainable, as recorded steps in float32: blocks, gates, penalties, clips in time."""

import numpy as np

import minidl as dl
from minidl import functional as F
from minidl import nn

from .bench_ops import recorded
from .networks import NETWORKS


def body():
    """Two layers of 64 with a ReLU."""
    return nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64)


BLOCKS = {
    "plain": lambda: nn.Sequential(*body()),
    "constant scale": lambda: nn.Residual(*body(), scale=0.1),
    "ReZero": lambda: nn.Residual(*body()),
    "LayerScale": lambda: nn.Residual(*body(), scale=nn.LayerScale(64)),
    "Fixup": lambda: nn.FixupBlock(*body()),
    "Highway": lambda: nn.Highway(64, nn.Sequential(*body())),
}
PENALTIES = {
    "l1": lambda ps: F.l1_penalty(ps, 1e-4),
    "l2": lambda ps: F.l2_penalty(ps, 1e-4),
    "max norm": lambda ps: F.max_norm_penalty(ps, 1.0, 1e-2),
    "orthogonal": lambda ps: F.orthogonal_penalty([p for p in ps if p.ndim > 1], 1e-4),
}
LAYERS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Block:
    """Ten blocks of 64 units, batch 64."""

    params = [list(BLOCKS)]
    param_names = ["block"]

    def setup(self, name):
        dl.manual_seed(0)
        model = nn.Sequential(*[BLOCKS[name]() for _ in range(10)])

        def operation(x):
            model.zero_grad()
            return model(x)

        self.step, _ = recorded(operation, True, (64, 64))
        assert np.isfinite(self.step().numpy()).all()

    def time_step(self, name):
        self.step()


class Gate:
    """The gate of a highway as one node, and as the operations that it consists of."""

    forms = {"one node": F.highway, "operations": lambda z, h, x: F.sigmoid(z) * (h - x) + x}
    params = [list(forms), [(64, 64), (512, 512)]]
    param_names = ["form", "shape"]

    def setup(self, form, shape):
        function = self.forms[form]
        self.step, x = recorded(lambda x: function(x, x * 2.0, x), True, shape)
        x = x.numpy().astype("float64")
        np.testing.assert_allclose(self.step().numpy(), x + x / (1 + np.exp(-x)), rtol=1e-4, atol=1e-5)

    def time_step(self, form, shape):
        self.step()


class Penalty:
    """A penalty on the 109,386 parameters of mnist_mlp, with its gradient."""

    params = [list(PENALTIES)]
    param_names = ["penalty"]

    def setup(self, name):
        parameters = list(NETWORKS["mnist_mlp"].make().parameters())

        def step():
            for parameter in parameters:
                parameter.grad = None
            loss = PENALTIES[name](parameters)
            loss.backward()
            return loss

        self.step = dl.record(step)
        assert np.isfinite(self.step().numpy())

    def time_step(self, name):
        self.step()


class ClipInTime:
    """A recurrent layer of 64 units over 50 steps, batch 32, without a bound, below it and above it."""

    params = [list(LAYERS), [None, 1e9, 0.1]]
    param_names = ["layer", "clip_grad"]

    def setup(self, name, clip_grad):
        layer = LAYERS[name](64, 64, clip_grad=clip_grad)

        def operation(x):
            layer.zero_grad()
            return layer(x)[0]

        self.step, _ = recorded(operation, True, (50, 32, 64))
        self.step()
        assert (layer.clipped_steps()["l0"] > 0) == (clip_grad == 0.1)

    def time_step(self, name, clip_grad):
        self.step()
