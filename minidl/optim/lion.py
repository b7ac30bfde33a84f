"""Lion."""

from minidl.engine.checks import at_least, fraction
from minidl.kernels import sgd as kernels
from minidl.optim.optimizer import Optimizer


class Lion(Optimizer):
    """x -= lr * (sign(betas[0] * m + (1 - betas[0]) * g) + weight_decay * x) (Chen et al. 2023).

    Then m = betas[1] * m + (1 - betas[1]) * g. Every element moves by lr, so good rates are 3 to 10 times smaller than
    AdamW's, and good decays larger by as much.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr : float
    betas : (float, float)
        Share of m in the step, and decay of m.
    weight_decay : float
        Decoupled: not part of the running mean.
    maximize : bool
        Ascend instead.
    on_nonfinite : {"raise", "skip", "zero"}
        See `Optimizer`.
    """

    name = "lion"
    buffers = ("exp_avg",)
    kernel = kernels.lion

    def __init__(
        self,
        params,
        lr=1e-4,
        betas=(0.9, 0.99),
        weight_decay=0.0,
        *,
        maximize=False,
        on_nonfinite="raise",
    ):
        defaults = dict(lr=lr, betas=betas, weight_decay=weight_decay, maximize=maximize)
        super().__init__(params, defaults, on_nonfinite)

    def layout(self, group):
        """The settings in the kernel's order."""
        beta1, beta2 = group["betas"]
        return (
            at_least("Lion", "lr", group["lr"]),
            fraction("Lion", "betas[0]", beta1),
            fraction("Lion", "betas[1]", beta2),
            at_least("Lion", "weight_decay", group["weight_decay"]),
            bool(group["maximize"]),
        )
