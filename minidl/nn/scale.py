"""Learned factors and shifts that are not part of a layer: Scale, Bias, LayerScale."""

from minidl import functional as F
from minidl.engine import as_tensor, memory
from minidl.engine.checks import finite
from minidl.functional._shapes import position
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.values import count, float_dtype
from minidl.tensor import Parameter


class Scale(Module):
    """y = weight * x, with one learned number.

    Parameters
    ----------
    init_value : float

    Shapes
    ------
    weight : ()
    """

    def __init__(self, init_value=1.0, dtype="float32"):
        super().__init__()
        self.init_value = finite(type(self).__name__, "init_value", init_value)
        self.weight = Parameter(memory.empty((), float_dtype(type(self).__name__, dtype)))
        self.reset_parameters()

    def reset_parameters(self):
        """Start from `init_value`."""
        init.constant_(self.weight, self.init_value)

    def forward(self, input):
        return as_tensor(input) * self.weight

    def extra_repr(self):
        return f"{self.init_value:g}"


class Bias(Module):
    """y = x + bias, with one learned number.

    Parameters
    ----------
    init_value : float

    Shapes
    ------
    bias : ()
    """

    def __init__(self, init_value=0.0, dtype="float32"):
        super().__init__()
        self.init_value = finite(type(self).__name__, "init_value", init_value)
        self.bias = Parameter(memory.empty((), float_dtype(type(self).__name__, dtype)))
        self.reset_parameters()

    def reset_parameters(self):
        """Start from `init_value`."""
        init.constant_(self.bias, self.init_value)

    def forward(self, input):
        return as_tensor(input) + self.bias

    def extra_repr(self):
        return f"{self.init_value:g}"


class LayerScale(Module):
    """y = weight * x, with a learned number for each feature, which starts close to 0.

    Made for the end of a residual branch: ``Residual(*layers, scale=LayerScale(64))``.

    Parameters
    ----------
    num_features : int
    init_value : float
        The paper: 0.1 up to 18 layers, 1e-5 up to 24, 1e-6 beyond.
    dim : int
        Where the features are: -1 for (..., C), as in models of sequences; 1 for images (N, C, H, W).

    Shapes
    ------
    weight : (num_features,)

    References
    ----------
    Touvron et al., "Going deeper with image transformers", 2021.
    """

    def __init__(self, num_features, init_value=1e-4, dim=-1, dtype="float32"):
        super().__init__()
        self.num_features = count("LayerScale", "num_features", num_features, low=1)
        self.init_value, self.dim = finite("LayerScale", "init_value", init_value), dim
        self.weight = Parameter(memory.empty(self.num_features, float_dtype("LayerScale", dtype)))
        self.reset_parameters()

    def reset_parameters(self):
        """Start from `init_value`."""
        init.constant_(self.weight, self.init_value)

    def forward(self, input):
        x = as_tensor(input)
        place = position("layerscale", self.dim, x.ndim)
        if not x.ndim or x.shape[place] != self.num_features:
            raise ValueError(f"input has shape {x.shape}, expected {self.num_features} features in dim {self.dim}")
        behind = x.ndim - 1 - place
        return x * (F.reshape(self.weight, (-1, *[1] * behind)) if behind else self.weight)

    def extra_repr(self):
        return f"{self.num_features}, init_value={self.init_value:g}, dim={self.dim}"
