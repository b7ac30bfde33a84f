"""Activations as modules; the formulas are in `minidl.functional`.

`inplace` is accepted for PyTorch's sake and changes nothing: the result is a new tensor.
"""

import numpy as np

from minidl import functional as F
from minidl.nn.module import Module
from minidl.nn.values import count, float_dtype
from minidl.tensor import Parameter


class _Activation(Module):
    """An activation that PyTorch can also do in place."""

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace

    def _settings(self):
        """The other arguments, as the repr shows them."""
        return []

    def extra_repr(self):
        return ", ".join(self._settings() + ["inplace=True"] * bool(self.inplace))


class ReLU(_Activation):
    """max(x, 0)."""

    def forward(self, input):
        return F.relu(input)


class ReLU6(_Activation):
    """min(max(x, 0), 6)."""

    def forward(self, input):
        return F.relu6(input)


class LeakyReLU(_Activation):
    """x where x > 0, else negative_slope x."""

    def __init__(self, negative_slope=0.01, inplace=False):
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, input):
        return F.leaky_relu(input, self.negative_slope)

    def _settings(self):
        return [f"negative_slope={self.negative_slope}"]


class PReLU(Module):
    """x where x > 0, else a x with a learned `a`: He et al. (2015).

    Parameters
    ----------
    num_parameters : int
        1, or the number of channels (dimension 1 of the input).
    init : float
        Where `a` starts.
    dtype : dtype or str

    Shapes
    ------
    weight : (num_parameters,)
    """

    def __init__(self, num_parameters=1, init=0.25, dtype="float32"):
        super().__init__()
        self.num_parameters, self.init = count("PReLU", "num_parameters", num_parameters, low=1), init
        self.weight = Parameter(np.full(num_parameters, init, float_dtype("PReLU", dtype)))

    def forward(self, input):
        return F.prelu(input, self.weight)

    def extra_repr(self):
        return f"num_parameters={self.num_parameters}"


class ELU(_Activation):
    """x where x > 0, else alpha (exp(x) - 1): Clevert et al. (2016)."""

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input):
        return F.elu(input, self.alpha)

    def _settings(self):
        return [f"alpha={self.alpha}"]


class CELU(ELU):
    """x where x > 0, else alpha (exp(x / alpha) - 1): Barron (2017)."""

    def forward(self, input):
        return F.celu(input, self.alpha)


class SELU(_Activation):
    """ELU with the scale that keeps mean 0 and variance 1: Klambauer et al. (2017)."""

    def forward(self, input):
        return F.selu(input)


class GELU(Module):
    """x times the standard normal distribution function of x: Hendrycks and Gimpel (2016).

    Parameters
    ----------
    approximate : {"none", "tanh"}
    """

    def __init__(self, approximate="none"):
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate: got {approximate!r}, expected 'none' or 'tanh'")
        self.approximate = approximate

    def forward(self, input):
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self):
        return f"approximate={self.approximate!r}"


class SiLU(_Activation):
    """x sigmoid(x): Elfwing et al. (2018)."""

    def forward(self, input):
        return F.silu(input)


class Mish(_Activation):
    """x tanh(softplus(x)): Misra (2019)."""

    def forward(self, input):
        return F.mish(input)


class Softplus(Module):
    """log(1 + exp(beta x)) / beta; x itself where beta x > threshold."""

    def __init__(self, beta=1.0, threshold=20.0):
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input):
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self):
        return f"beta={self.beta}, threshold={self.threshold}"


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, input):
        return F.sigmoid(input)


class LogSigmoid(Module):
    """log(sigmoid(x))."""

    def forward(self, input):
        return F.logsigmoid(input)


class Tanh(Module):
    """tanh(x)."""

    def forward(self, input):
        return F.tanh(input)


class Hardtanh(_Activation):
    """min(max(x, min_val), max_val)."""

    def __init__(self, min_val=-1.0, max_val=1.0, inplace=False):
        super().__init__(inplace)
        if not min_val < max_val:
            raise ValueError(f"Hardtanh: min_val, max_val: got {min_val}, {max_val}, expected min_val < max_val")
        self.min_val, self.max_val = min_val, max_val

    def forward(self, input):
        return F.hardtanh(input, self.min_val, self.max_val)

    def _settings(self):
        return [f"min_val={self.min_val}", f"max_val={self.max_val}"]


class Hardsigmoid(_Activation):
    """min(max(x / 6 + 1 / 2, 0), 1)."""

    def forward(self, input):
        return F.hardsigmoid(input)


class Hardswish(_Activation):
    """x hardsigmoid(x): Howard et al. (2019)."""

    def forward(self, input):
        return F.hardswish(input)


class Softsign(Module):
    """x / (1 + |x|)."""

    def forward(self, input):
        return F.softsign(input)


class Softmax(Module):
    """exp(x) divided by its sum along `dim`."""

    def __init__(self, dim):
        super().__init__()
        if not isinstance(dim, (int, np.integer)):
            raise TypeError(f"{type(self).__name__}: dim: got {dim!r}, expected an integer")
        self.dim = dim

    def forward(self, input):
        return F.softmax(input, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """log(softmax(x)) along `dim`."""

    def forward(self, input):
        return F.log_softmax(input, self.dim)


class Softmin(Softmax):
    """softmax(-x) along `dim`."""

    def forward(self, input):
        return F.softmin(input, self.dim)
