"""RMSprop."""

from minidl.engine.checks import at_least, fraction
from minidl.kernels import adagrad as kernels
from minidl.optim.optimizer import Optimizer


class RMSprop(Optimizer):
    """x -= lr * g / (sqrt(v) + eps), v the running mean of g^2 (Tieleman & Hinton 2012).

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr : float
    alpha : float
        Decay of the running means.
    eps : float
    weight_decay : float
        Added to the gradient as weight_decay * x.
    momentum : float
        x -= lr * b instead, b = momentum * b + g / (sqrt(v) + eps).
    centered : bool
        Divide by the running standard deviation of g: v less the squared running mean of g (Graves 2013). That is next
        to 0 where gradients hardly vary, and steps are as large as eps allows.
    maximize : bool
        Ascend instead.
    on_nonfinite : {"raise", "skip", "zero"}
        See `Optimizer`.
    """

    name = "rmsprop"
    buffers = ("square_avg", "momentum_buffer", "grad_avg")
    kernel = kernels.rmsprop

    def __init__(
        self,
        params,
        lr=1e-2,
        alpha=0.99,
        eps=1e-8,
        weight_decay=0.0,
        momentum=0.0,
        centered=False,
        *,
        maximize=False,
        on_nonfinite="raise",
    ):
        defaults = dict(
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
            maximize=maximize,
        )
        super().__init__(params, defaults, on_nonfinite)

    def layout(self, group):
        """The settings in the kernel's order."""
        return (
            at_least("RMSprop", "lr", group["lr"]),
            fraction("RMSprop", "alpha", group["alpha"]),
            at_least("RMSprop", "eps", group["eps"]),
            at_least("RMSprop", "weight_decay", group["weight_decay"]),
            at_least("RMSprop", "momentum", group["momentum"]),
            bool(group["maximize"]),
        )

    def buffers_of(self, group):
        wanted = {"square_avg": True, "momentum_buffer": group["momentum"] > 0, "grad_avg": group["centered"]}
        return tuple(name for name in self.buffers if wanted[name])
