"""Operations forward and backward as recorded steps, on 256 x 256 float32, some next to NumPy's forward."""

import numpy as np

import minidl as dl
from minidl import functional as F

LABELS = np.arange(256) % 256

OPERATIONS = {
    "add": lambda x: x + x,
    "mul": lambda x: x * x,
    "div": lambda x: x / (x * x + 1.0),
    "exp": F.exp,
    "relu": F.relu,
    "gelu": F.gelu,
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "sum": lambda x: x.sum(1),
    "mean": lambda x: x.mean(0),
    "var": lambda x: x.var(1),
    "max": lambda x: x.max(1).values,
    "logsumexp": lambda x: F.logsumexp(x, 1),
    "transpose": lambda x: x.T,
    "slice": lambda x: x[:, ::2],
    "gather": lambda x: x[LABELS],
    "cat": lambda x: F.cat([x, x], 1),
    "matmul": lambda x: x @ x,
    "linear": lambda x: F.linear(x, x),
    "dropout": lambda x: F.dropout(x, 0.5),
    "cross_entropy": lambda x: F.cross_entropy(x, LABELS),
    "mse_loss": lambda x: F.mse_loss(x, np.zeros((256, 256), "float32")),
}

NUMPY = {
    "add": lambda x: x + x,
    "exp": np.exp,
    "tanh": np.tanh,
    "sum": lambda x: x.sum(1),
    "mean": lambda x: x.mean(0),
    "matmul": lambda x: x @ x,
    "transpose": lambda x: x.T,
}


def recorded(operation, backward, shape=(256, 256)):
    """A replayable step of one operation, and its input."""
    x = dl.tensor(np.random.default_rng(0).standard_normal(shape), dtype="float32", requires_grad=True)

    def step():
        x.grad = None
        y = operation(x)
        if backward:
            y.backward(np.ones(y.shape, "float32"))
        return y

    return dl.record(step), x


class Operation:
    """One operation, replayed."""

    params = [list(OPERATIONS), ["forward", "forward and backward"]]
    param_names = ["operation", "passes"]

    def setup(self, name, passes):
        self.step, x = recorded(OPERATIONS[name], passes != "forward")
        y = self.step()
        self.step()
        if name in NUMPY:
            np.testing.assert_allclose(y.numpy(), NUMPY[name](x.numpy()), rtol=1e-3, atol=1e-3)
        if passes != "forward":
            assert np.isfinite(x.grad.numpy()).all() and x.grad.numpy().any() or name == "softmax"

    def time_operation(self, name, passes):
        self.step()


class NumPyTwin:
    """The same forward in NumPy."""

    params = [list(NUMPY)]
    param_names = ["operation"]

    def setup(self, name):
        self.x = np.random.default_rng(0).standard_normal((256, 256)).astype("float32")

    def time_operation(self, name):
        NUMPY[name](self.x)
