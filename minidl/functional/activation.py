"""Activations: one number in, one number out."""

from math import prod

from minidl.engine import Node, memory
from minidl.functional import _backward as B
from minidl.kernels import activation as K
from minidl.kernels.kernel import Kernel


class Activation(Node):
    """y = f(x), with a backward formula in terms of y, or of x where `saves_input`."""

    role = "activation"
    kernel: Kernel
    saves_input = False

    def __init__(self, *scalars):
        super().__init__()
        self.scalars = scalars

    def forward(self, x):
        y = self.new(x.shape)
        self.call(self.kernel, [y], [x], [x.array.size], self.scalars)
        self.saved = x.array if self.saves_input else y.array
        return y

    def backpropagate(self, kernel, dy, scalars=()):
        """Make the gradient of x from `dy` and what was saved."""
        self.call(kernel, [self.grad()], [dy, self.saved], [dy.size], scalars)


class Smooth(Activation):
    """y = f(x);  dx = dy f'(x): the forward kernel computes the slope f'(x) along with y where it is needed."""

    def forward(self, x):
        y = self.new(x.shape)
        self.saved = memory.empty(x.shape, x.dtype) if self.tracked else None
        self.call(self.kernel, [y, self.saved], [x], [x.array.size], self.scalars)
        return y

    def backward(self, dy):
        self.backpropagate(B.activation.times, dy)


class ReLU(Activation):
    """y = max(x, 0);  dx = dy where y > 0, else 0."""

    kernel = K.relu

    def backward(self, dy):
        self.backpropagate(B.activation.relu, dy)


class LeakyReLU(Activation):
    """y = x where x > 0, else slope x;  dx = dy where x > 0, else slope dy."""

    name, kernel, saves_input = "leaky_relu", K.leaky_relu, True

    def backward(self, dy):
        self.backpropagate(B.activation.leaky_relu, dy, self.scalars)


class PReLU(Node):
    """y = x where x > 0, else w x;  dx = dy where x > 0, else w dy;  dw = sum of dy x where x <= 0."""

    role = "activation"

    def forward(self, x, w):
        channels = x.shape[1] if x.ndim > 1 else 1
        if w.shape not in ((1,), (channels,)):
            wanted = "(1,)" if channels == 1 else f"(1,) or ({channels},)"
            raise ValueError(f"prelu: weight: got shape {w.shape}, expected {wanted} for input of shape {x.shape}")
        if w.dtype != x.dtype:
            raise TypeError(f"prelu: input is {x.dtype}, but weight is {w.dtype}; expected the same dtype")
        y, self.x, self.w = self.new(x.shape), x.array, w.array
        shared = w.array.size == 1
        self.sizes = (1, 1, x.array.size) if shared else (x.shape[0], channels, prod(x.shape[2:]))
        self.call(K.prelu, [y], [x, w], self.sizes)
        return y

    def backward(self, dy):
        if (dx := self.grad(0)) is not None:
            self.call(B.activation.prelu, [dx], [dy, self.x, self.w], self.sizes)
        if (dw := self.grad(1)) is not None:
            self.call(B.activation.prelu_weight, [dw], [dy, self.x], self.sizes)


class ELU(Smooth):
    """y = x where x > 0, else alpha (exp(x) - 1);  dx = dy where x > 0, else alpha exp(x) dy."""

    kernel = K.elu


class CELU(Smooth):
    """y = x where x > 0, else alpha (exp(x / alpha) - 1);  dx = dy where x > 0, else exp(x / alpha) dy."""

    kernel = K.celu


class SELU(Smooth):
    """y = scale ELU(x, alpha);  dx = scale dy where x > 0, else scale alpha exp(x) dy."""

    kernel = K.selu


class GELU(Smooth):
    """y = x P(x), with P the normal distribution function;  dx = (P(x) + x P'(x)) dy."""

    kernel = K.gelu


class GELUTanh(Smooth):
    """y = x (1 + tanh u) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3);  dx = (1 + tanh u + x (1 - tanh^2 u) u') / 2 dy."""

    name, kernel = "gelu", K.gelu_tanh


class SiLU(Smooth):
    """y = x s, s = sigmoid(x);  dx = s (1 + x (1 - s)) dy."""

    kernel = K.silu


class Softplus(Smooth):
    """y = log(1 + exp(beta x)) / beta, or x where beta x > threshold;  dx = sigmoid(beta x) dy."""

    kernel = K.softplus


class Mish(Smooth):
    """y = x t, t = tanh(softplus(x));  dx = (t + x (1 - t^2) sigmoid(x)) dy."""

    kernel = K.mish


class LogSigmoid(Smooth):
    """y = -log(1 + exp(-x));  dx = sigmoid(-x) dy."""

    kernel = K.log_sigmoid


class Sigmoid(Activation):
    """y = 1 / (1 + exp(-x));  dx = y (1 - y) dy."""

    kernel, saturates = K.sigmoid, (0.0127, 0.9873)  # the slope is a twentieth of the steepest, as in those below

    def backward(self, dy):
        self.backpropagate(B.activation.sigmoid, dy)


class Tanh(Activation):
    """y = tanh(x);  dx = (1 - y^2) dy."""

    kernel, saturates = K.tanh, (-0.975, 0.975)

    def backward(self, dy):
        self.backpropagate(B.activation.tanh, dy)


class Hardtanh(Activation):
    """y = x clipped to [low, high];  dx = dy where low < x < high, else 0."""

    kernel, saves_input = K.hardtanh, True
    saturates = property(lambda self: self.scalars)

    def backward(self, dy):
        self.backpropagate(B.activation.ramp, dy, (*self.scalars, 1))


class Hardsigmoid(Activation):
    """y = (x + 3) / 6 clipped to [0, 1];  dx = dy / 6 where -3 < x < 3, else 0."""

    kernel, saves_input, saturates = K.hardsigmoid, True, (0, 1)

    def backward(self, dy):
        self.backpropagate(B.activation.ramp, dy, (-3, 3, 1 / 6))


class Hardswish(Activation):
    """y = x hardsigmoid(x);  dx = (2 x + 3) / 6 dy where -3 < x < 3, dy above, 0 below."""

    kernel, saves_input = K.hardswish, True

    def backward(self, dy):
        self.backpropagate(B.activation.hardswish, dy)


class Softsign(Activation):
    """y = x / (1 + |x|);  dx = dy / (1 + |x|)^2."""

    kernel, saves_input, saturates = K.softsign, True, (-0.776, 0.776)

    def backward(self, dy):
        self.backpropagate(B.activation.softsign, dy)


def relu(input):
    """max(input, 0), elementwise; NaN stays NaN.

    Parameters
    ----------
    input : Tensor, any shape

    Returns
    -------
    Tensor of the same shape, as for all activations
    """
    return ReLU().apply(input)


def leaky_relu(input, negative_slope=0.01):
    """`input` where it is positive, else `negative_slope` times it (Maas et al., 2013)."""
    return LeakyReLU(negative_slope).apply(input)


def prelu(input, weight):
    """`leaky_relu` whose slope is learned (He et al., 2015).

    Parameters
    ----------
    input : Tensor, shape (N, C, ...), or any if there is one slope
    weight : Tensor, shape (1,) or (C,)
    """
    return PReLU().apply(input, weight)


def elu(input, alpha=1.0):
    """`input` where it is positive, else alpha (exp(input) - 1) (Clevert et al., 2015)."""
    return ELU(alpha).apply(input)


def celu(input, alpha=1.0):
    """`input` where it is positive, else alpha (exp(input / alpha) - 1): smooth for every alpha (Barron, 2017)."""
    if not alpha:
        raise ValueError(f"celu: alpha: got {alpha}, expected a number other than 0")
    return CELU(alpha).apply(input)


def selu(input):
    """`elu` scaled such that mean 0 and variance 1 are a stable fixed point (Klambauer et al., 2017)."""
    return SELU().apply(input)


def gelu(input, approximate="none"):
    """`input` times the normal distribution function of it (Hendrycks & Gimpel, 2016).

    Parameters
    ----------
    input : Tensor, any shape
    approximate : {"none", "tanh"}
        Whether to use the paper's approximation by tanh.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate: got {approximate!r}, expected 'none' or 'tanh'")
    return (GELU() if approximate == "none" else GELUTanh()).apply(input)


def silu(input):
    """input sigmoid(input), also called swish (Elfwing et al., 2018)."""
    return SiLU().apply(input)


def mish(input):
    """input tanh(softplus(input)) (Misra, 2019)."""
    return Mish().apply(input)


def softplus(input, beta=1.0, threshold=20.0):
    """log(1 + exp(beta input)) / beta, a smooth `relu`.

    Parameters
    ----------
    input : Tensor, any shape
    beta : float
        Positive; the larger, the closer to `relu`.
    threshold : float
        Where beta input is above, the result is `input` itself.
    """
    if not beta > 0:
        raise ValueError(f"softplus: beta: got {beta}, expected beta > 0")
    return Softplus(beta, threshold).apply(input)


def logsigmoid(input):
    """log(sigmoid(input)), without the underflow of computing it in two steps."""
    return LogSigmoid().apply(input)


def sigmoid(input):
    """1 / (1 + exp(-input))."""
    return Sigmoid().apply(input)


def tanh(input):
    """Hyperbolic tangent."""
    return Tanh().apply(input)


def hardtanh(input, min_val=-1.0, max_val=1.0):
    """`input`, clipped to [min_val, max_val]."""
    if not min_val <= max_val:
        raise ValueError(f"hardtanh: min_val: got {min_val}, expected min_val <= max_val = {max_val}")
    return Hardtanh(min_val, max_val).apply(input)


def relu6(input):
    """`input`, clipped to [0, 6] (Howard et al., 2017: MobileNets)."""
    return Hardtanh(0.0, 6.0).apply(input)


def hardsigmoid(input):
    """(input + 3) / 6, clipped to [0, 1] (Howard et al., 2019: MobileNetV3)."""
    return Hardsigmoid().apply(input)


def hardswish(input):
    """input hardsigmoid(input) (Howard et al., 2019: MobileNetV3)."""
    return Hardswish().apply(input)


def softsign(input):
    """input / (1 + |input|)."""
    return Softsign().apply(input)
