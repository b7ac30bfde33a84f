"""Stochastic gradient descent."""

from minidl.engine.checks import at_least
from minidl.kernels import sgd as kernels
from minidl.optim.optimizer import Optimizer


class SGD(Optimizer):
    """x -= lr * v,  v = momentum * v + (1 - dampening) * (g + weight_decay * x).

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr, momentum, dampening, weight_decay : float
    nesterov : bool
        Look ahead: x -= lr * (g + momentum * v) (Sutskever et al. 2013).
    maximize : bool
        Ascend instead.
    on_nonfinite : {"raise", "skip", "zero"}
        See `Optimizer`.
    """

    name = "sgd"
    buffers = ("momentum_buffer",)
    kernel = kernels.sgd

    def __init__(
        self,
        params,
        lr=1e-3,
        momentum=0.0,
        dampening=0.0,
        weight_decay=0.0,
        nesterov=False,
        *,
        maximize=False,
        on_nonfinite="raise",
    ):
        defaults = dict(
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
        )
        super().__init__(params, defaults, on_nonfinite)

    def layout(self, group):
        """The settings in the kernel's order."""
        momentum, dampening = at_least("SGD", "momentum", group["momentum"]), float(group["dampening"])
        if group["nesterov"] and (momentum == 0 or dampening != 0):
            raise ValueError(
                f"SGD: nesterov: needs momentum > 0 and dampening 0, got momentum {momentum} and dampening {dampening}"
            )
        return (
            at_least("SGD", "lr", group["lr"]),
            momentum,
            dampening,
            at_least("SGD", "weight_decay", group["weight_decay"]),
            bool(group["nesterov"]),
            bool(group["maximize"]),
        )

    def buffers_of(self, group):
        return self.buffers if group["momentum"] else ()
