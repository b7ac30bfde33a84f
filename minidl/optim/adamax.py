"""Adamax."""

from minidl.kernels import adam as kernels
from minidl.optim.optimizer import Optimizer
from minidl.optim.settings import adaptive


class Adamax(Optimizer):
    """x -= lr * m / u,  u = max(betas[1] * u, |g| + eps): Adam with the largest |g| (Kingma & Ba 2015, section 7).

    m is the bias-corrected running mean of g.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr : float
    betas : (float, float)
        Decay of the running mean, and of the largest |g|.
    eps : float
    weight_decay : float
        Added to the gradient as weight_decay * x.
    maximize : bool
        Ascend instead.
    on_nonfinite : {"raise", "skip", "zero"}
        See `Optimizer`.
    """

    name = "adamax"
    buffers = ("exp_avg", "exp_inf")
    kernel = kernels.adamax

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        *,
        maximize=False,
        on_nonfinite="raise",
    ):
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize)
        super().__init__(params, defaults, on_nonfinite)

    def layout(self, group):
        """The settings in the kernel's order."""
        return (*adaptive("Adamax", group), bool(group["maximize"]))
