"""Adagrad."""

from minidl.engine.checks import at_least
from minidl.kernels import adagrad as kernels
from minidl.optim.optimizer import Optimizer


class Adagrad(Optimizer):
    """x -= lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps), s the sum of g^2 so far (Duchi et al. 2011).

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr : float
    lr_decay : float
        t is the number of steps.
    weight_decay : float
        Added to the gradient as weight_decay * x.
    initial_accumulator_value : float
        What s begins with.
    eps : float
    maximize : bool
        Ascend instead.
    on_nonfinite : {"raise", "skip", "zero"}
        See `Optimizer`.
    """

    name = "adagrad"
    buffers = ("sum",)
    kernel = kernels.adagrad

    def __init__(
        self,
        params,
        lr=1e-2,
        lr_decay=0.0,
        weight_decay=0.0,
        initial_accumulator_value=0.0,
        eps=1e-10,
        *,
        maximize=False,
        on_nonfinite="raise",
    ):
        defaults = dict(
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
            maximize=maximize,
        )
        super().__init__(params, defaults, on_nonfinite)

    def layout(self, group):
        """The settings in the kernel's order."""
        at_least("Adagrad", "initial_accumulator_value", group["initial_accumulator_value"])
        return (
            at_least("Adagrad", "lr", group["lr"]),
            at_least("Adagrad", "lr_decay", group["lr_decay"]),
            at_least("Adagrad", "weight_decay", group["weight_decay"]),
            at_least("Adagrad", "eps", group["eps"]),
            bool(group["maximize"]),
        )

    def beginning(self, group):
        return group["initial_accumulator_value"]
