"""What the networks of the race are made of, without a framework: sizes, starting weights, FLOPs.

Images are [channels, height, width], square; texts are [time], or [time, size] behind an embedding, but a batch of them
is [time, batch, ...]. Every layer has ``output(shape)``, the shape that it makes of one sample; those with weights have
``state(rng)``, and ``flops(shape)`` of the matrix products of one sample's forward pass.
"""

from dataclasses import dataclass

import numpy as np


def normal(rng, shape, std, mean=0.0):
    """Normal float32 numbers."""
    return (mean + std * rng.standard_normal(shape)).astype(np.float32)


class _Shaped:
    def output(self, shape):
        return shape


@dataclass(frozen=True)
class Linear:
    """y = x W^T + b."""

    inputs: int
    outputs: int
    bias = True

    def state(self, rng):
        # He's weights. Biases are not zero: a missing one must fail the check.
        weight = normal(rng, (self.outputs, self.inputs), np.sqrt(2 / self.inputs))
        return {"weight": weight, "bias": normal(rng, self.outputs, 0.1)}

    def output(self, shape):
        return (*shape[:-1], self.outputs)

    def flops(self, shape):
        return 2 * int(np.prod(shape)) * self.outputs


@dataclass(frozen=True)
class Conv:
    """Cross-correlation of images with square kernels."""

    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    padding: int = 0
    bias: bool = True

    def state(self, rng):
        fan = self.inputs * self.kernel**2
        state = {"weight": normal(rng, (self.outputs, self.inputs, self.kernel, self.kernel), np.sqrt(2 / fan))}
        return {**state, "bias": normal(rng, self.outputs, 0.1)} if self.bias else state

    def output(self, shape):
        size = (shape[1] + 2 * self.padding - self.kernel) // self.stride + 1
        return (self.outputs, size, size)

    def flops(self, shape):
        return 2 * self.inputs * self.kernel**2 * int(np.prod(self.output(shape)))


@dataclass(frozen=True)
class Norm(_Shaped):
    """Batch normalisation; `dims` of the space: 0 or 2."""

    channels: int
    dims: int = 2

    def state(self, rng):
        zeros, ones = np.zeros(self.channels, np.float32), np.ones(self.channels, np.float32)
        # With biases around 0 many gradients have the sign of a rounding error, and Adam makes whole steps of them:
        # float32 and float64 part after one step through 30 layers.
        weight, bias = normal(rng, self.channels, 0.1, 1.0), normal(rng, self.channels, 0.1, 1.0)
        return {"weight": weight, "bias": bias, "running_mean": zeros, "running_var": ones}


@dataclass(frozen=True)
class ReLU(_Shaped):
    """max(x, 0)."""


@dataclass(frozen=True)
class MaxPool:
    """Maximum of tiles of 2 x 2."""

    def output(self, shape):
        return (shape[0], shape[1] // 2, shape[2] // 2)


@dataclass(frozen=True)
class MeanPool:
    """Mean of each channel."""

    def output(self, shape):
        return (shape[0], 1, 1)


@dataclass(frozen=True)
class Flatten:
    """Images as vectors."""

    def output(self, shape):
        return (int(np.prod(shape)),)


@dataclass(frozen=True)
class Block:
    """A residual block, relu(norm2(conv2(relu(norm1(conv1(x))))) + shortcut(x)): He et al. (2015)."""

    inputs: int
    outputs: int
    stride: int = 1

    def parts(self):
        """The layers inside, by name, in the order of the formula."""
        first = Conv(self.inputs, self.outputs, 3, self.stride, 1, bias=False)
        second = Conv(self.outputs, self.outputs, 3, 1, 1, bias=False)
        parts = {"conv1": first, "norm1": Norm(self.outputs), "conv2": second, "norm2": Norm(self.outputs)}
        if self.projects:
            projection = Conv(self.inputs, self.outputs, 1, self.stride, bias=False)
            parts.update({"shortcut.0": projection, "shortcut.1": Norm(self.outputs)})
        return parts

    @property
    def projects(self):
        """Whether the shortcut needs a convolution."""
        return self.stride > 1 or self.inputs != self.outputs

    def output(self, shape):
        return self.parts()["conv1"].output(shape)


@dataclass(frozen=True)
class Embedding:
    """A row of the table for each token."""

    tokens: int
    size: int

    def state(self, rng):
        return {"weight": normal(rng, (self.tokens, self.size), 1.0)}

    def output(self, shape):
        return (*shape, self.size)

    def flops(self, shape):
        return 0  # it copies


@dataclass(frozen=True)
class Recurrent:
    """An LSTM, a GRU or an RNN with tanh (`kind`), the state zero before the first step; only the output goes on."""

    kind: str
    inputs: int
    size: int

    @property
    def rows(self):
        """Those of a weight matrix: one set for each gate."""
        return {"LSTM": 4, "GRU": 3, "RNN": 1}[self.kind] * self.size

    def state(self, rng):
        return {
            "weight_ih_l0": normal(rng, (self.rows, self.inputs), np.sqrt(1 / self.inputs)),
            "weight_hh_l0": normal(rng, (self.rows, self.size), np.sqrt(1 / self.size)),
            "bias_ih_l0": normal(rng, self.rows, 0.1),
            "bias_hh_l0": normal(rng, self.rows, 0.1),
        }

    def output(self, shape):
        return (*shape[:-1], self.size)

    def flops(self, shape):
        return 2 * shape[0] * self.rows * (self.inputs + self.size)


@dataclass(frozen=True)
class Steps(_Shaped):
    """[time, batch, size] as [time * batch, size]: from here on every step is a sample of its own."""


def walk(layers, shape):
    """Yield (name, layer, shape of its input) of every layer, those in blocks one by one."""
    for i, layer in enumerate(layers):
        if isinstance(layer, Block):
            for name, part in layer.parts().items():
                yield f"{i}.{name}", part, shape if name in ("conv1", "shortcut.0") else layer.output(shape)
        else:
            yield str(i), layer, shape
        shape = layer.output(shape)


def build(nn, forward, layers):
    """The layers as a Sequential of a framework with PyTorch's names.

    ``forward(block, x)`` is what a residual block does with its conv1, norm1, conv2, norm2 and shortcut.
    """

    class Residual(nn.Module):
        def __init__(self, layer):
            super().__init__()
            parts = {name: make(part) for name, part in layer.parts().items()}
            shortcut = [parts.pop(name) for name in ("shortcut.0", "shortcut.1") if name in parts]
            for name, part in parts.items():
                setattr(self, name, part)
            self.shortcut = nn.Sequential(*shortcut) if shortcut else nn.Identity()

        def forward(self, x):
            return forward(self, x)

    def recurrent(layer):
        class Output(getattr(nn, layer.kind)):
            def forward(self, x):
                output, _ = super().forward(x)  # a Sequential has no use for the last state
                return output

        return Output(layer.inputs, layer.size)

    def make(layer):
        return makers[type(layer)](layer)

    makers = {
        Linear: lambda a: nn.Linear(a.inputs, a.outputs),
        Conv: lambda a: nn.Conv2d(a.inputs, a.outputs, a.kernel, a.stride, a.padding, bias=a.bias),
        Norm: lambda a: (nn.BatchNorm2d if a.dims else nn.BatchNorm1d)(a.channels),
        ReLU: lambda a: nn.ReLU(),
        MaxPool: lambda a: nn.MaxPool2d(2),
        MeanPool: lambda a: nn.AdaptiveAvgPool2d(1),
        Flatten: lambda a: nn.Flatten(),
        Block: Residual,
        Embedding: lambda a: nn.Embedding(a.tokens, a.size),
        Recurrent: recurrent,
        Steps: lambda a: nn.Flatten(0, 1),
    }
    return nn.Sequential(*map(make, layers))
