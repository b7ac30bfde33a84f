"""Layers around a shortcut, in their forms: ReZero, a constant scale, LayerScale, Fixup, highways."""

from minidl import functional as F
from minidl.creation import zeros
from minidl.nn import init
from minidl.nn.activation import ReLU
from minidl.nn.containers import Sequential
from minidl.nn.linear import Linear
from minidl.nn.module import Module
from minidl.nn.scale import Bias, Scale
from minidl.nn.values import count
from minidl.tensor import Parameter


class Residual(Module):
    """y = activation(shortcut(x) + scale * body(x)).

    A sum of k branches of equal variance has k times that of one: without a scale, layers that keep the variance (as
    minidl's do) double it in every block. So `scale` is learned and starts at 0: a model of any depth starts as its
    shortcuts alone, and its gradients reach every block unchanged.

    Parameters
    ----------
    *modules : Module
        The body, called in turn.
    shortcut : Module, optional
        By default the input as it is; otherwise what gives it the shape of the body's result.
    activation : callable, optional
        Such as `functional.relu`.
    scale : float or Module, optional
        By default a parameter, of shape (). A number is a constant: 1 where the body ends in a normalisation, about
        1 / sqrt(blocks) where it does not. A module, such as `LayerScale`, is called with what the body gives.

    References
    ----------
    He et al., "Deep residual learning for image recognition", 2016. The learned scale: Bachlechner et al., "ReZero is
    all you need", 2021; De and Smith, "Batch normalization biases residual blocks towards the identity function", 2020.
    """

    def __init__(self, *modules, shortcut=None, activation=None, scale=None):
        super().__init__()
        self.body = Sequential(*modules)
        self.shortcut, self.activation = shortcut, activation
        if scale is None:
            scale = Parameter(zeros(()))
        self.scale = scale if isinstance(scale, (Parameter, Module)) else float(scale)

    def forward(self, input):
        body, shortcut = self.body(input), input if self.shortcut is None else self.shortcut(input)
        constant = isinstance(self.scale, float)
        if not constant:
            body = self.scale(body) if isinstance(self.scale, Module) else self.scale * body
        if body.shape != shortcut.shape:
            raise ValueError(
                f"body gives {body.shape}, but shortcut {shortcut.shape} for input {input.shape}; expected one shape"
            )
        output = F.add(shortcut, body, alpha=self.scale if constant else 1)
        return output if self.activation is None else self.activation(output)

    def extra_repr(self):
        if isinstance(self.scale, Module):
            return ""
        return "scale=learned" if isinstance(self.scale, Parameter) else f"scale={self.scale:g}"


class FixupBlock(Residual):
    """A residual block that trains without normalisation: y = activation(shortcut(x) + scale * body(x) + bias).

    A `Bias` stands before each of the modules, a `Scale` and a `Bias` behind the last: numbers, not vectors, so the
    modules need no bias of their own. Once the model is complete, `init.fixup_(model)` draws its initial values, which
    depend on the number of blocks.

    Parameters
    ----------
    *modules : Module
        Such as ``Linear(64, 64, bias=False), ReLU(), Linear(64, 64, bias=False)``.
    shortcut, activation
        As in `Residual`.

    References
    ----------
    Zhang, Dauphin and Ma, "Fixup initialization: Residual learning without normalization", 2019.
    """

    def __init__(self, *modules, shortcut=None, activation=None):
        layers = [layer for module in modules for layer in (Bias(), module)]
        super().__init__(*layers, Scale(), Bias(), shortcut=shortcut, activation=activation, scale=1.0)


class Highway(Module):
    """y = t * body(x) + (1 - t) * x, t = sigmoid(W x + b): a residual layer that learns where to let its input pass.

    Parameters
    ----------
    features : int
        Of the input, the output and the body's result: the size that `layer` is told.
    body : Module, optional
        Keeps the shape of its input; by default a `layer` and a ReLU.
    gate_bias : float
        What b starts from: < 0, so that a deep stack starts close to the identity. A layer keeps about t^2 + (1 - t)^2
        of a signal's variance, so -ln(layers) is a good choice: -2 for ten layers, -4 for fifty (the paper: -1 to -10,
        the lower, the deeper).
    layer : callable
        ``layer(features, features)`` makes W x + b, a layer with a bias; for images something like
        ``lambda i, o: nn.Conv2d(i, o, 3, padding=1)``.

    References
    ----------
    Srivastava, Greff and Schmidhuber, "Training very deep networks", 2015.
    """

    def __init__(self, features, body=None, gate_bias=-1.0, layer=Linear):
        super().__init__()
        features = count("Highway", "features", features, low=1)
        if not -float("inf") < gate_bias < 0:
            raise ValueError(f"Highway: gate_bias: got {gate_bias!r}, expected a finite number < 0")
        self.gate_bias = float(gate_bias)
        self.body = Sequential(layer(features, features), ReLU()) if body is None else body
        self.gate = layer(features, features)
        if getattr(self.gate, "bias", None) is None:
            raise ValueError(f"Highway: layer: got one that makes {self.gate!r}, expected a layer with a bias")
        self.reset_parameters()

    def reset_parameters(self):
        """Let the gate's bias start from `gate_bias`; the layers themselves draw their own values."""
        init.constant_(self.gate.bias, self.gate_bias)

    def forward(self, input):
        return F.highway(self.gate(input), self.body(input), input)

    def extra_repr(self):
        return f"gate_bias={self.gate_bias:g}"
