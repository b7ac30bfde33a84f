"""Modules that prescriptions put into models."""

import numpy as np

from minidl import functional as F
from minidl.engine import Tensor, as_tensor, memory
from minidl.nn import Module


def buffer(array, dtype=np.float32):
    """An array as a tensor that does not train."""
    return Tensor(memory.copy(np.asarray(array, dtype)))


class Standardise(Module):
    """y = (x - mean) * factor, with constants that broadcast to a sample."""

    def __init__(self, mean, factor):
        super().__init__()
        self.register_buffer("mean", buffer(mean))
        self.register_buffer("factor", buffer(factor))

    def forward(self, input):
        return (as_tensor(input) - self.mean) * self.factor


class Rescale(Module):
    """y = x * std + mean: numbers of an expected size of 1 in the units of the targets."""

    def __init__(self, mean, std):
        super().__init__()
        self.mean, self.std = float(mean), float(std)

    def forward(self, input):
        return as_tensor(input) * self.std + self.mean

    def extra_repr(self):
        return f"mean={self.mean:g}, std={self.std:g}"


class Log(Module):
    """y = log(max(x, 1e-7))."""

    def forward(self, input):
        return F.log(F.clamp(input, min=1e-7))


class Finite(Module):
    """`fill` in place of every NaN and Inf."""

    def __init__(self, fill=0.0):
        super().__init__()
        self.fill = float(fill)

    def forward(self, input):
        x = as_tensor(input)
        return F.where(F.isfinite(x), x, np.asarray(self.fill, x.dtype))

    def extra_repr(self):
        return f"fill={self.fill:g}"


class Clamp(Module):
    """y = min(max(x, low), high); None for no bound."""

    def __init__(self, low=None, high=None):
        super().__init__()
        self.low, self.high = low, high

    def forward(self, input):
        return F.clamp(input, self.low, self.high)

    def extra_repr(self):
        return f"low={self.low}, high={self.high}"


class AwayFromZero(Module):
    """x where abs(x) >= least, otherwise `least` with the sign of x."""

    def __init__(self, least):
        super().__init__()
        self.least = float(least)

    def forward(self, input):
        x = as_tensor(input)
        return F.where(x < 0, F.clamp(x, max=-self.least), F.clamp(x, min=self.least))

    def extra_repr(self):
        return f"least={self.least:g}"


class StraightThrough(Module):
    """What a layer gives, with the gradient of the identity; for layers that let none through.

    References
    ----------
    Bengio, Leonard and Courville, "Estimating or propagating gradients through stochastic neurons", 2013.
    """

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, input):
        x = as_tensor(input)
        return x + (self.layer(x) - x).detach()


class WithInput(Module):
    """A model one of whose inputs goes through another module first."""

    def __init__(self, model, index, treatment):
        super().__init__()
        self.treatment, self.model, self.index = treatment, model, index

    def forward(self, *inputs):
        treated = list(inputs)
        treated[self.index] = self.treatment(treated[self.index])
        return self.model(*treated)


class WithOutput(Module):
    """A model whose output goes through another module afterwards."""

    def __init__(self, model, treatment):
        super().__init__()
        self.model, self.treatment = model, treatment

    def forward(self, *inputs):
        return self.treatment(self.model(*inputs))


class WithLengths(Module):
    """A model that is told the lengths of its sequences: up to the last step that is not padding.

    Parameters
    ----------
    model : Module
        Called with ``model(x, lengths=lengths)``.
    padding : float
    time : int
        The dimension of time steps: 1, or 0.
    """

    def __init__(self, model, padding=0.0, time=1):
        super().__init__()
        self.model, self.padding, self.time = model, float(padding), time

    def forward(self, input):
        x = as_tensor(input)
        said = F.any(F.ne(x, self.padding), -1)
        steps = np.arange(1, x.shape[self.time] + 1)
        steps = steps if self.time == 1 else steps[:, None]
        lengths = F.amax(F.where(said, np.broadcast_to(steps, said.shape).copy(), 1), self.time)
        return self.model(x, lengths=lengths)


class FirstSteps(Module):
    """The first steps of sequences; `time` is the dimension of the steps."""

    def __init__(self, steps, time=1):
        super().__init__()
        self.steps, self.time = steps, time

    def forward(self, input):
        return F.narrow(input, self.time, 0, self.steps)

    def extra_repr(self):
        return f"{self.steps}, time={self.time}"


class WithoutLengths(Module):
    """A model that is called without the lengths which come as its second input."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input, lengths=None):
        return self.model(input)
