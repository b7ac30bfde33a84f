"""Compiled loops next to the same loop in NumPy; both from Python, so the small sizes include one call."""

import numpy as np

from minidl.engine.tape import Call
from minidl.kernels import activation, elementwise, gemm


def call(kernel, outputs, inputs, sizes, scalars=()):
    """A bound kernel; `run` repeats it."""
    return Call(kernel, outputs, inputs, sizes, scalars, outputs[0].dtype, None, "forward")


class Matmul:
    """C = A B, square."""

    params = [["minidl", "numpy"], [16, 64, 256, 1024], ["float32", "float64"]]
    param_names = ["by", "size", "dtype"]

    def setup(self, by, size, dtype):
        rng = np.random.default_rng(0)
        self.a, self.b = (rng.standard_normal((size, size)).astype(dtype) for _ in range(2))
        self.c = np.empty_like(self.a)
        self.call = call(gemm.matmul_nn, [self.c], [self.a, self.b], [size, size, size, 0, 1, 0, 0, 0])
        self.call.run()
        np.testing.assert_allclose(self.c, self.a @ self.b, rtol=1e-3, atol=1e-3)

    def time_matmul(self, by, size, dtype):
        if by == "minidl":
            self.call.run()
        else:
            np.matmul(self.a, self.b, out=self.c)


class Activation:
    """Activations over 65,536 float32."""

    params = [["minidl", "numpy"], ["relu", "exp", "tanh", "sigmoid"]]
    param_names = ["by", "function"]

    def setup(self, by, function):
        self.x = np.random.default_rng(0).standard_normal(65536).astype("float32")
        self.y = np.empty_like(self.x)
        self.call = call(getattr(activation, function), [self.y], [self.x], [self.x.size])
        self.twin = {
            "relu": lambda: np.maximum(self.x, 0, out=self.y),
            "exp": lambda: np.exp(self.x, out=self.y),
            "tanh": lambda: np.tanh(self.x, out=self.y),
            "sigmoid": lambda: np.divide(1, 1 + np.exp(-self.x), out=self.y),
        }[function]
        self.call.run()
        mine = self.y.copy()
        self.twin()
        np.testing.assert_allclose(mine, self.y, rtol=1e-5, atol=1e-7)

    def time_activation(self, by, function):
        if by == "minidl":
            self.call.run()
        else:
            self.twin()


class Accumulate:
    """y += x, the engine's own sum of gradients."""

    params = [["minidl", "numpy"], [1000, 100_000, 1_000_000]]
    param_names = ["by", "size"]

    def setup(self, by, size):
        self.x, self.y = np.ones(size, "float32"), np.zeros(size, "float32")
        self.call = call(elementwise.accumulate, [self.y], [self.x], [size])
        self.call.run()
        assert (self.y == 1).all()

    def time_accumulate(self, by, size):
        if by == "minidl":
            self.call.run()
        else:
            np.add(self.y, self.x, out=self.y)
