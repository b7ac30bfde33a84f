"""Losses over classes: cross entropy and the negative log-likelihood."""

from math import prod

import numpy as np

from minidl.engine import Node, as_tensor, memory
from minidl.functional import _backward as B
from minidl.functional._loss import as_constant, as_float, as_input, check_reduction
from minidl.kernels import cross_entropy as K


class ClassLoss(Node):
    """A loss per position of an input [N, C, ...] or [C], reduced."""

    takes_masks = True

    def __init__(self, weight, ignore_index, reduction):
        super().__init__()
        self.weight, self.ignore_index, self.reduction = weight, ignore_index, reduction

    def prepare(self, x):
        """Sizes [outer, C, inner], shape of the positions, the losses and, if reduced, the result."""
        at = min(x.ndim - 1, 1)
        shape = x.shape
        self.sizes = (prod(shape[:at]), shape[at], prod(shape[at + 1 :]))
        self.each = self.reduction == "none"
        self.mean = self.reduction == "mean"
        positions = (*shape[:at], *shape[at + 1 :])
        losses = self.new(positions) if self.each else memory.empty(positions, x.dtype)
        return losses, None if self.each else self.new(())

    def positions(self, x):
        """A buffer with one number per position."""
        return memory.empty((self.sizes[0], self.sizes[2]), x.dtype)

    def explain_index(self, call):
        target = next(array for array in call.inputs if array is not None and array.dtype == np.int64)
        ignored, classes = int(call.scalars[0]), call.sizes[1]
        at = tuple(np.argwhere((target != ignored) & ((target < 0) | (target >= classes)))[0])
        where = "".join(f"[{i}]" for i in at)
        return f"target{where} is {target[at]}, expected 0 <= target < {classes} (or ignore_index {ignored})"


class CrossEntropy(ClassLoss):
    """l = w_t (log sum exp(x) - x_t), summed or divided by the sum of w_t;  dx = w_t (softmax(x) - onehot_t) dl."""

    name = "cross_entropy"

    def forward(self, x, target):
        losses, y = self.prepare(x)
        self.target, self.e = target.array, memory.empty(x.shape, x.dtype)
        self.pull, self.pick = self.positions(x), self.positions(x)
        outputs = [losses, y, self.e, self.pull, self.pick]
        self.call(K.cross_entropy, outputs, [x, target, self.weight], [*self.sizes, self.mean], [self.ignore_index])
        return losses if self.each else y

    def backward(self, dy):
        inputs = [dy, self.e, self.pull, self.pick, self.target]
        self.call(B.loss.cross_entropy, [self.grad()], inputs, [*self.sizes, self.each])


class SoftCrossEntropy(ClassLoss):
    """l = -sum of q log softmax(x);  dx = (softmax(x) sum of q - q) dl,  dtarget = -log softmax(x) dq/dtarget dl.

    q is the smoothed target with the weights (and the norm of the mean) in it.
    """

    name = "cross_entropy"

    def __init__(self, weight, ignore_index, reduction, smoothing):
        super().__init__(weight, ignore_index, reduction)
        self.smoothing = smoothing

    def forward(self, x, target):
        losses, y = self.prepare(x)
        self.q, self.e, self.log_p = (memory.empty(x.shape, x.dtype) for _ in range(3))
        self.pull = self.positions(x)
        self.norm = self.pull.size if self.mean else 1
        if target.dtype == np.int64:
            sizes, scalars = [*self.sizes, self.mean], [self.ignore_index, self.smoothing]
            self.call(K.smooth_labels, [self.q], [target, self.weight], sizes, scalars)
        else:
            scalars = [self.norm, self.smoothing]
            self.call(K.smooth_probabilities, [self.q], [target, self.weight], self.sizes, scalars)
        self.call(K.soft_cross_entropy, [losses, y, self.e, self.log_p, self.pull], [x, self.q], self.sizes)
        return losses if self.each else y

    def backward(self, dy):
        sizes = [*self.sizes, self.each]
        if (dx := self.grad(0)) is not None:
            self.call(B.loss.soft_cross_entropy, [dx], [dy, self.e, self.pull, self.q], sizes)
        if (dt := self.grad(1)) is not None:
            weight = np.ones(self.sizes[1], dt.dtype) if self.weight is None else self.weight
            self.call(B.loss.soft_target, [dt], [dy, self.log_p, weight], sizes, [(self.smoothing - 1) / self.norm])


class NLL(ClassLoss):
    """l = -w_t x_t, summed or divided by the sum of w_t;  dx = -w_t onehot_t dl."""

    name = "nll_loss"

    def forward(self, x, target):
        losses, y = self.prepare(x)
        self.target, self.pick = target.array, self.positions(x)
        inputs = [x, target, self.weight]
        self.call(K.nll, [losses, y, self.pick], inputs, [*self.sizes, self.mean], [self.ignore_index])
        return losses if self.each else y

    def backward(self, dy):
        self.call(B.loss.nll, [self.grad()], [dy, self.pick, self.target], [*self.sizes, self.each])


def _check(name, input, target, weight, reduction):
    """The arguments as tensors of fitting shapes and dtypes."""
    x = as_input(name, input)
    if x.ndim == 0:
        raise ValueError(f"{name}: input: got shape (), expected (C,), (N, C) or (N, C, d1, ...)")
    dtype = as_tensor(target).dtype
    if dtype.kind == "f":
        target, expected = as_float(name, "target", target, x.dtype), x.shape
    elif dtype == np.int64:
        target, expected = as_tensor(target), (*x.shape[: x.ndim > 1], *x.shape[2:])
    else:
        raise TypeError(f"{name}: target: got dtype {dtype}, expected int64 class indices or probabilities")
    if target.shape != expected:
        kind = "class probabilities" if dtype.kind == "f" else "class indices"
        raise ValueError(
            f"{name}: target: got {dtype} {target.shape}, expected {kind} {expected} for input of shape {x.shape}"
            + ("; class indices must be integers" if dtype.kind == "f" else "")
        )
    classes = x.shape[min(x.ndim - 1, 1)]
    weight = as_constant(name, "weight", weight, x.dtype)
    if weight is not None and weight.shape != (classes,):
        raise ValueError(f"{name}: weight: got shape {weight.shape}, expected ({classes},)")
    check_reduction(name, reduction, prod(x.shape) // max(classes, 1))
    return x, target, weight


def cross_entropy(input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """Cross entropy between the softmax of `input` over the classes and `target`.

    Parameters
    ----------
    input : Tensor, shape (C,), (N, C) or (N, C, d1, ...)
        Unnormalised scores (logits).
    target : Tensor or array
        Class indices, int64, of the shape of `input` without C; or class probabilities of the shape of `input`.
    weight : Tensor, shape (C,), optional
        Weight of each class.
    ignore_index : int
        Label that counts neither in the loss nor in the gradient.
    reduction : {"mean", "sum", "none"}
        The mean over class indices is divided by the sum of their weights, over probabilities by their number.
    label_smoothing : float in [0, 1]
        Share of the target that is spread evenly over the classes (Szegedy et al., 2016).

    Returns
    -------
    Tensor, scalar, or of the shape of `input` without C where nothing is reduced

    Raises
    ------
    IndexError
        If a label is neither a class nor `ignore_index`; in a replayed step too.
    ValueError
        If shapes do not fit, or the mean of an empty batch is asked for.
    """
    x, target, weight = _check("cross_entropy", input, target, weight, reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing: got {label_smoothing}, expected 0 <= label_smoothing <= 1")
    if target.dtype == np.int64 and label_smoothing == 0:
        return CrossEntropy(weight, ignore_index, reduction).apply(x, target)
    return SoftCrossEntropy(weight, ignore_index, reduction, label_smoothing).apply(x, target)


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean"):
    """Negative log-likelihood of the labels `target` under log-probabilities `input`.

    Parameters
    ----------
    input : Tensor, shape (C,), (N, C) or (N, C, d1, ...)
        Log-probabilities, for example from `log_softmax`.
    target : Tensor or array of int64
        Class indices, of the shape of `input` without C.
    weight, ignore_index, reduction
        As in `cross_entropy`; so are the errors.

    Returns
    -------
    Tensor, scalar, or of the shape of `target` where nothing is reduced
    """
    target = as_tensor(target)
    if target.dtype != np.int64:
        raise TypeError(f"nll_loss: target: got dtype {target.dtype}, expected int64 class indices")
    x, target, weight = _check("nll_loss", input, target, weight, reduction)
    return NLL(weight, ignore_index, reduction).apply(x, target)
