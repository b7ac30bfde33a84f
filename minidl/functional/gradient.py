"""Wires: the forward pass goes through unchanged, in the same memory; what changes is the gradient on its way back."""

import numpy as np

from minidl.engine import Node, Statistics, as_tensor, generator, memory, no_grad
from minidl.engine.checks import above_zero, at_least, finite, policy, positive
from minidl.engine.origin import blame
from minidl.functional import _backward as B
from minidl.kernels import random as K
from minidl.kernels.elementwise import nothing


class Wire(Node):
    """y = x.

    Parameters
    ----------
    cells : float64 ndarray
        Settings in the kernel's order, shared: they may change between the replays of a recorded step.
    statistics : Statistics
        What the kernel counts in.
    """

    named_by = ("path", "statistics")

    def __init__(self, cells, statistics):
        super().__init__()
        self.cells, self.statistics = cells, statistics

    def forward(self, x):
        return self.wrap(x.array)

    def shape_gradient(self, kernel, dy, rows=1):
        """Call a kernel of `minidl.kernels.backward.gradient`."""
        inner = dy.size // rows if rows else 0
        partial = memory.empty(rows * max(1, -(-inner // B.gradient.TILE)), np.float64)
        scratch = [partial, self.statistics.cells]
        self.call(kernel, [self.grad()], [dy], [rows, inner], self.cells, scratch=scratch)


class ClipGrad(Wire):
    """y = x;  dx = dy max_norm / |dy| where |dy| > max_norm, over all of dy or row by row, or dy within +-max_value."""

    name = "clip_grad"

    def __init__(self, cells, statistics, by_value=False, dim=None):
        super().__init__(cells, statistics)
        self.by_value, self.dim = by_value, dim

    def forward(self, x):
        if self.dim == 0 and x.ndim == 0:
            raise ValueError("clip_grad: dim: got 0 for an input of shape (), expected at least one dimension")
        return super().forward(x)

    def backward(self, dy):
        kernel = B.gradient.clip_value if self.by_value else B.gradient.clip_norm
        self.shape_gradient(kernel, dy, 1 if self.dim is None else dy.shape[0])

    def explain_nonfinite(self, call, recording):
        (dy,) = call.inputs
        spoiled = f"{np.isnan(dy).sum()} NaN and {np.isinf(dy).sum()} Inf among {dy.size} values of shape {dy.shape}"
        who, finding = blame([dy], recording, call)
        return f"the gradient that comes back has {spoiled}. {who}", finding


class ScaleGrad(Wire):
    """y = x;  dx = scale dy."""

    name = "scale_grad"

    def backward(self, dy):
        self.shape_gradient(B.gradient.scale, dy)


class NoiseGrad(Wire):
    """y = x;  dx = dy + std z, with z normal, drawn anew by every call."""

    name = "noise_grad"

    def backward(self, dy):
        sums = memory.empty(2 * -(-dy.size // K.TILE), np.float64)
        scratch = [sums, self.statistics.cells]
        self.call(K.wire_noise, [self.grad(), generator.counter], [dy], [dy.size], self.cells, scratch=scratch)


class StopGrad(Node):
    """y = x, which requires no gradient: backward does not come here, and what lies before gets nothing, not zeros."""

    name = "stop_grad"

    def apply(self, x):
        with no_grad():
            return super().apply(x)

    def forward(self, x):
        self.call(nothing, [], [x], dtype=x.dtype)  # so that a listing shows where it is
        return self.wrap(x.array)


def clip_cells(name, max_norm, max_value, norm_type, dim, on_nonfinite):
    """The cells of a `ClipGrad`; ValueError that begins with `name` if an argument is out of range."""
    if (max_norm is None) == (max_value is None):
        raise ValueError(f"{name}: got max_norm {max_norm} and max_value {max_value}, expected exactly one of them")
    if dim is not None and (dim != 0 or max_norm is None):
        expected = "None, as values are clipped one by one" if max_norm is None else "None or 0"
        raise ValueError(f"{name}: dim: got {dim}, expected {expected}")
    bound = positive(name, "max_value", max_value) if max_norm is None else above_zero(name, "max_norm", max_norm)
    return np.array([bound, above_zero(name, "norm_type", norm_type), policy(name, on_nonfinite)])


def clip_grad(input, max_norm=None, max_value=None, norm_type=2.0, dim=None, on_nonfinite="raise"):
    """Gives `input` back; its gradient is clipped on the way back.

    Parameters
    ----------
    input : Tensor, any shape
    max_norm : float, optional
        > 0. Gradients with a larger norm are scaled to this norm.
    max_value : float, optional
        > 0. Gradients are clamped to [-max_value, max_value], element by element. Exactly one bound must be given.
    norm_type : float
        Order of the norm; ``inf`` for the largest absolute value.
    dim : {None, 0}
        0: every row, that is every sample of a batch, has a norm of its own, and counts as a call in the statistics.
        None: one norm over everything.
    on_nonfinite : {"raise", "skip", "zero"}
        What to do with a norm (by value: with elements) that is NaN or Inf: raise, leave what has it as it is, or set
        it to 0.

    Returns
    -------
    Tensor of the shape of `input`, in the same memory

    Raises
    ------
    FloatingPointError
        In backward, if the gradient is not finite; names the node and, in a recorded step, who made the first NaN or
        Inf.

    References
    ----------
    Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", 2013; at a place within the
    network: Graves, "Generating sequences with recurrent neural networks", 2013.
    """
    cells = clip_cells("clip_grad", max_norm, max_value, norm_type, dim, on_nonfinite)
    return ClipGrad(cells, Statistics("clipped", quantity(max_norm)), max_norm is None, dim).apply(input)


def quantity(max_norm):
    """What a clip measures."""
    return "largest" if max_norm is None else "norm"


def scale_grad(input, scale):
    """Gives `input` back; its gradient is multiplied by `scale`, which may be negative: gradient reversal.

    Parameters
    ----------
    input : Tensor, any shape
    scale : float
        Finite.

    References
    ----------
    Ganin, Lempitsky, "Unsupervised domain adaptation by backpropagation", 2015.
    """
    return ScaleGrad(np.array([finite("scale_grad", "scale", scale)]), Statistics("scaled")).apply(input)


def stop_grad(input):
    """Gives `input` back without a gradient: as `Tensor.detach`, but a node, which observers and listings see.

    What lies before is not part of `backward`: it costs no time, and its parameters get no gradient, not one of zeros,
    with which an optimizer would go on decaying them.
    """
    return StopGrad().apply(as_tensor(input))


def noise_grad(input, std):
    """Gives `input` back; its gradient gets normal noise added, drawn from the engine's generator.

    Parameters
    ----------
    input : Tensor, any shape
    std : float
        Standard deviation, >= 0. In float32 the noise ends at 6.56 of them.

    References
    ----------
    Neelakantan et al., "Adding gradient noise improves learning for very deep networks", 2015.
    """
    return NoiseGrad(np.array([at_least("noise_grad", "std", std)]), Statistics("noised")).apply(input)
