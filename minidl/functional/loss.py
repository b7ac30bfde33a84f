"""Losses that compare the input with a target of the same shape, element by element."""

from math import prod

from minidl.engine import Node, memory
from minidl.functional import _backward as B
from minidl.functional._loss import REDUCTIONS, as_constant, as_float, as_input, check_reduction
from minidl.kernels import loss as K
from minidl.kernels.kernel import Kernel


class Pointwise(Node):
    """One loss per element, weighted and reduced. The kernel also computes the slopes, so backward is a product.

    Parameters
    ----------
    reduction : str
    scale : float
        What the sum is multiplied by.
    scalars : sequence of float
        Constants of the loss.
    weight, pos_weight : Tensor, optional
        Multiplies the loss of an element; the part of it that pulls towards target 1.
    """

    kernel: Kernel

    def __init__(self, reduction, scale, scalars=(), weight=None, pos_weight=None):
        super().__init__()
        self.each, self.scale, self.scalars = reduction == "none", scale, scalars
        self.weight, self.pos_weight = weight, pos_weight

    def forward(self, x, t):
        y = self.new(x.shape if self.each else ())
        wanted = [self.tracked and tensor.requires_grad for tensor in (x, t)]
        self.slopes = [memory.empty(x.shape, x.dtype) if needed else None for needed in wanted]
        sizes = [x.array.size, not self.each]
        sizes += run_of(self.name, "weight", self.weight, x.shape)
        sizes += run_of(self.name, "pos_weight", self.pos_weight, x.shape)
        inputs = [x, t, self.weight, self.pos_weight]
        self.call(self.kernel, [y, *self.slopes], inputs, sizes, [self.scale, *self.scalars])
        return y

    def backward(self, dy):
        for i, slope in enumerate(self.slopes):
            if slope is not None:
                self.call(B.loss.scaled, [self.grad(i)], [dy, slope], [slope.size, self.each], [self.scale])


class MSE(Pointwise):
    """l = (x - t)^2;  dl/dx = 2 (x - t)."""

    name, kernel = "mse_loss", K.mse


class L1(Pointwise):
    """l = |x - t|;  dl/dx = sign(x - t)."""

    name, kernel = "l1_loss", K.l1


class Huber(Pointwise):
    """l = z^2 / 2 where |z| <= delta, else delta (|z| - delta / 2), z = x - t;  dl/dx = z clipped to +-delta."""

    name, kernel = "huber_loss", K.huber


class SmoothL1(Pointwise):
    """l = Huber loss / delta with delta = beta;  dl/dx = (x - t) / beta clipped to +-1."""

    name, kernel = "smooth_l1_loss", K.huber


class BCE(Pointwise):
    """l = -t log x - (1 - t) log(1 - x), logarithms not below -100;  dl/dx = (x - t) / (x (1 - x))."""

    name, kernel = "binary_cross_entropy", K.binary_cross_entropy


class BCEWithLogits(Pointwise):
    """l = -u t log s - (1 - t) log(1 - s), s = sigmoid(x), u = pos_weight;  dl/dx = (1 - t) s - u t (1 - s)."""

    name, kernel = "binary_cross_entropy_with_logits", K.binary_cross_entropy_with_logits


class KLDiv(Pointwise):
    """l = t (log t - x);  dl/dx = -t,  dl/dt = log t + 1 - x."""

    name, kernel = "kl_div", K.kl_div


class KLDivLog(Pointwise):
    """l = exp(t) (t - x);  dl/dx = -exp(t),  dl/dt = exp(t) (t + 1 - x)."""

    name, kernel = "kl_div", K.kl_div_log


class PoissonNLL(Pointwise):
    """l = exp(x) - t x, or x - t log(x + eps) if x is no logarithm;  dl/dx = exp(x) - t, or 1 - t / (x + eps)."""

    name, kernel = "poisson_nll_loss", K.poisson_nll


class SoftMargin(Pointwise):
    """l = log(1 + exp(-t x));  dl/dx = -t sigmoid(-t x)."""

    name, kernel = "soft_margin_loss", K.soft_margin


def run_of(name, argument, weight, shape):
    """(span, repeat): element i of `shape` has ``weight[i // repeat % span]``.

    That is how a weight is read where it is broadcast; its sizes above 1 must stand side by side.
    """
    if weight is None:
        return 1, 1
    sizes = (1,) * (len(shape) - weight.ndim) + weight.shape
    varies = [i for i, size in enumerate(sizes) if size != 1]
    if not varies:
        return 1, 1
    first, last = varies[0], varies[-1] + 1
    if len(sizes) != len(shape) or sizes[first:last] != shape[first:last]:
        raise ValueError(
            f"{name}: {argument}: got shape {weight.shape}, expected the input's {shape}, or one that broadcasts to it "
            "with all sizes above 1 side by side"
        )
    return prod(sizes), prod(shape[last:])


def _apply(kind, input, target, reduction, scalars=(), reductions=REDUCTIONS, weight=None, pos_weight=None):
    """Check the arguments and run the node."""
    name = kind.name
    x = as_input(name, input)
    t = as_float(name, "target", target, x.dtype)
    if x.shape != t.shape:
        raise ValueError(f"{name}: target: got shape {t.shape}, expected {x.shape} as of input; it is not broadcast")
    count = x.shape[0] if reduction == "batchmean" and x.ndim else x.array.size
    check_reduction(name, reduction, count, reductions)
    scale = 1 / count if "mean" in reduction else 1
    weight, pos_weight = (
        as_constant(name, *pair, x.dtype) for pair in (("weight", weight), ("pos_weight", pos_weight))
    )
    return kind(reduction, scale, scalars, weight, pos_weight).apply(x, t)


def mse_loss(input, target, reduction="mean"):
    """Squared error, (input - target)^2.

    Parameters
    ----------
    input : Tensor, any shape
    target : Tensor or array of the same shape
        Gradients flow into it too.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor, scalar, or of the shape of `input` where nothing is reduced

    Raises
    ------
    ValueError
        If the shapes differ, or the mean over nothing is asked for.
    """
    return _apply(MSE, input, target, reduction)


def l1_loss(input, target, reduction="mean"):
    """Absolute error, \\|input - target\\|. Arguments, result and errors as in `mse_loss`."""
    return _apply(L1, input, target, reduction)


def smooth_l1_loss(input, target, reduction="mean", beta=1.0):
    """Absolute error, rounded to a parabola where it is below `beta` (Girshick, 2015: Fast R-CNN).

    Parameters
    ----------
    input, target, reduction
        As in `mse_loss`; so are result and errors.
    beta : float
        Not negative; 0 gives `l1_loss`.
    """
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss: beta: got {beta}, expected beta >= 0")
    if beta == 0:
        return _apply(L1, input, target, reduction)
    return _apply(SmoothL1, input, target, reduction, (beta, 1 / beta))


def huber_loss(input, target, reduction="mean", delta=1.0):
    """Half the squared error up to an error of `delta`, a line of slope `delta` beyond (Huber, 1964).

    Parameters
    ----------
    input, target, reduction
        As in `mse_loss`; so are result and errors.
    delta : float
        Positive.
    """
    if not delta > 0:
        raise ValueError(f"huber_loss: delta: got {delta}, expected delta > 0")
    return _apply(Huber, input, target, reduction, (delta, 1))


def binary_cross_entropy(input, target, weight=None, reduction="mean"):
    """Cross entropy between probabilities `input` and `target` of a yes.

    Logarithms are not taken below -100, so that a probability of 0 or 1 gives a finite loss. A number outside
    [0, 1] gives NaN. `binary_cross_entropy_with_logits` is exact where this one rounds.

    Parameters
    ----------
    input, target, reduction
        As in `mse_loss`; so are result and errors.
    weight : Tensor, optional
        Weight of each element; broadcast.
    """
    return _apply(BCE, input, target, reduction, weight=weight)


def binary_cross_entropy_with_logits(input, target, weight=None, reduction="mean", pos_weight=None):
    """Cross entropy between sigmoid(input) and `target`, computed without rounding the sigmoid.

    Parameters
    ----------
    input, target, reduction
        As in `mse_loss`; so are result and errors.
    weight : Tensor, optional
        Weight of each element; broadcast.
    pos_weight : Tensor, optional
        Weight of the yes, for example one per class; broadcast.
    """
    return _apply(BCEWithLogits, input, target, reduction, weight=weight, pos_weight=pos_weight)


def kl_div(input, target, reduction="mean", log_target=False):
    """Kullback-Leibler divergence, target (log target - input), with `input` a logarithm.

    Parameters
    ----------
    input, target
        As in `mse_loss`; so are result and errors.
    reduction : {"mean", "batchmean", "sum", "none"}
        "batchmean", the sum divided by the first size, is the divergence by its definition.
    log_target : bool
        Whether `target` is a logarithm too.
    """
    return _apply(KLDivLog if log_target else KLDiv, input, target, reduction, reductions=(*REDUCTIONS, "batchmean"))


def poisson_nll_loss(input, target, log_input=True, full=False, eps=1e-8, reduction="mean"):
    """Negative log-likelihood of counts `target` under a Poisson distribution.

    Parameters
    ----------
    input, target, reduction
        As in `mse_loss`; so are result and errors.
    log_input : bool
        Whether `input` is the logarithm of the rate.
    full : bool
        Whether to add Stirling's approximation of log(target!) where target > 1.
    eps : float
        Added to the rate before its logarithm is taken.
    """
    return _apply(PoissonNLL, input, target, reduction, (log_input, full, eps))


def soft_margin_loss(input, target, reduction="mean"):
    """Logistic loss log(1 + exp(-target input)) for targets 1 and -1.

    Arguments, result and errors as in `mse_loss`.
    """
    return _apply(SoftMargin, input, target, reduction)
