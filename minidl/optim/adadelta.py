"""Adadelta."""

from minidl.engine.checks import at_least, fraction
from minidl.kernels import adagrad as kernels
from minidl.optim.optimizer import Optimizer


class Adadelta(Optimizer):
    """x -= lr * d,  d = sqrt(u + eps) / sqrt(v + eps) * g, v and u the running means of g^2 and d^2 (Zeiler 2012).

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr : float
    rho : float
        Decay of the running means.
    eps : float
    weight_decay : float
        Added to the gradient as weight_decay * x.
    maximize : bool
        Ascend instead.
    on_nonfinite : {"raise", "skip", "zero"}
        See `Optimizer`.
    """

    name = "adadelta"
    buffers = ("square_avg", "acc_delta")
    kernel = kernels.adadelta

    def __init__(
        self,
        params,
        lr=1.0,
        rho=0.9,
        eps=1e-6,
        weight_decay=0.0,
        *,
        maximize=False,
        on_nonfinite="raise",
    ):
        defaults = dict(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize)
        super().__init__(params, defaults, on_nonfinite)

    def layout(self, group):
        """The settings in the kernel's order."""
        return (
            at_least("Adadelta", "lr", group["lr"]),
            fraction("Adadelta", "rho", group["rho"]),
            at_least("Adadelta", "eps", group["eps"]),
            at_least("Adadelta", "weight_decay", group["weight_decay"]),
            bool(group["maximize"]),
        )
