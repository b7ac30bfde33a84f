"""Normalisation layers and parametrized weights, there and back, as recorded steps; some next to the same in NumPy."""

import numpy as np

import minidl as dl
from minidl import functional as F
from minidl import nn


def plus_relu(layer, x):
    """Batch normalisation with a residual and a relu, as in a residual network."""
    return F.batch_norm(
        x, layer.running_mean, layer.running_var, layer.weight, layer.bias, True, activation="relu", residual=x
    )


LAYERS = {
    "batch_norm": (lambda: nn.BatchNorm1d(64), (64, 64)),
    "batch_norm wide": (lambda: nn.BatchNorm1d(1024), (256, 1024)),
    "batch_norm image": (lambda: nn.BatchNorm2d(16), (32, 16, 32, 32)),
    "batch_norm small image": (lambda: nn.BatchNorm2d(64), (32, 64, 8, 8)),
    "batch_norm residual relu": (lambda: nn.BatchNorm2d(16), (32, 16, 32, 32)),
    "batch_norm evaluation": (lambda: nn.BatchNorm2d(16).eval(), (32, 16, 32, 32)),
    "layer_norm": (lambda: nn.LayerNorm(64), (64, 64)),
    "layer_norm wide": (lambda: nn.LayerNorm(1024), (256, 1024)),
    "rms_norm": (lambda: nn.RMSNorm(64), (64, 64)),
    "rms_norm wide": (lambda: nn.RMSNorm(1024), (256, 1024)),
    "group_norm": (lambda: nn.GroupNorm(4, 16), (32, 16, 32, 32)),
    "instance_norm": (lambda: nn.InstanceNorm2d(16, affine=True), (32, 16, 32, 32)),
    "dropout1d": (lambda: nn.Dropout1d(0.1), (32, 16, 1024)),
    "dropout2d": (lambda: nn.Dropout2d(0.1), (32, 16, 32, 32)),
}


def over(axes):
    """NumPy's normalisation over some dimensions."""

    def normalize(x):
        mean = x.mean(axes, keepdims=True)
        return (x - mean) / np.sqrt(x.var(axes, mean=mean, keepdims=True) + 1e-5)

    return normalize


def over_rms(x):
    """NumPy's normalisation of rows by their root mean square."""
    return x / np.sqrt((x * x).mean(1, keepdims=True) + np.finfo("float32").eps)


NUMPY = {
    "batch_norm": over(0),
    "batch_norm wide": over(0),
    "batch_norm image": over((0, 2, 3)),
    "batch_norm small image": over((0, 2, 3)),
    "layer_norm": over(1),
    "layer_norm wide": over(1),
    "rms_norm": over_rms,
    "rms_norm wide": over_rms,
    "instance_norm": over((2, 3)),
}


def sample(name):
    """Input of a layer."""
    return np.random.default_rng(0).standard_normal(LAYERS[name][1]).astype("float32")


def recorded(name, backward):
    """A replayable step of one layer, and its input."""
    layer, x = LAYERS[name][0](), dl.tensor(sample(name), requires_grad=True)
    v = np.ones(x.shape, "float32")

    def step():
        x.grad = None
        layer.zero_grad()
        y = plus_relu(layer, x) if "relu" in name else layer(x)
        if backward:
            y.backward(v)
        return y

    return dl.record(step), x


class Normalization:
    """One layer, replayed."""

    params = [list(LAYERS), ["forward", "forward and backward"]]
    param_names = ["layer", "passes"]

    def setup(self, name, passes):
        self.step, x = recorded(name, passes != "forward")
        y = self.step()
        self.step()
        if name in NUMPY:
            np.testing.assert_allclose(y.numpy(), NUMPY[name](x.numpy()), rtol=1e-3, atol=1e-3)
        if passes != "forward":
            assert np.isfinite(x.grad.numpy()).all()

    def time_layer(self, name, passes):
        self.step()


PARAMETRIZED = {
    "weight_norm linear": (nn.utils.parametrizations.weight_norm, lambda: nn.Linear(512, 512)),
    "weight_norm conv": (nn.utils.parametrizations.weight_norm, lambda: nn.Conv2d(64, 64, 3)),
    "spectral_norm linear": (nn.utils.parametrizations.spectral_norm, lambda: nn.Linear(512, 512)),
    "spectral_norm conv": (nn.utils.parametrizations.spectral_norm, lambda: nn.Conv2d(64, 64, 3)),
    "weight_standardization conv": (nn.utils.parametrizations.weight_standardization, lambda: nn.Conv2d(64, 64, 3)),
}


class Parametrization:
    """A weight that is computed from others, and the gradients of those; replayed, without the layer."""

    params = [list(PARAMETRIZED)]
    param_names = ["layer"]

    def setup(self, name):
        parametrize, make = PARAMETRIZED[name]
        layer = parametrize(make())
        v = np.random.default_rng(0).standard_normal(layer.weight.shape).astype("float32")

        def step():
            layer.zero_grad()
            layer.weight.backward(v)

        self.step = dl.record(step)
        self.step()
        assert all(np.isfinite(p.grad.numpy()).all() for p in layer.parametrizations.parameters())

    def time_weight(self, name):
        self.step()


class NumPyTwin:
    """The same forward in NumPy."""

    params = [list(NUMPY)]
    param_names = ["layer"]

    def setup(self, name):
        self.x = sample(name)

    def time_layer(self, name):
        NUMPY[name](self.x)
