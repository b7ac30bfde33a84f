"""The operations, one family per file: a node class with its two formulas, and the function that users call."""

from minidl.functional.activation import relu
from minidl.functional.cross_entropy import cross_entropy, nll_loss
from minidl.functional.linear import linear
from minidl.functional.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    poisson_nll_loss,
    smooth_l1_loss,
    soft_margin_loss,
)
from minidl.functional.softmax import log_softmax, softmax, softmin

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "linear",
    "log_softmax",
    "mse_loss",
    "nll_loss",
    "poisson_nll_loss",
    "relu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
]
