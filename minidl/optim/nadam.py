"""NAdam."""

from minidl.engine.checks import at_least
from minidl.kernels import adam as kernels
from minidl.optim.optimizer import Optimizer
from minidl.optim.settings import adaptive


class NAdam(Optimizer):
    """x -= lr * (a * g + b * m) / (sqrt(v) + eps): Adam that looks ahead as Nesterov does (Dozat 2016).

    v is the bias-corrected running mean of g^2, m the running mean of g. The momentum rises from step to step:
    mu_t = betas[0] * (1 - 0.96^(t * momentum_decay) / 2), and with P_t for the product of mu_1 to mu_t,
    a = (1 - mu_t) / (1 - P_t) and b = mu_{t+1} / (1 - P_{t+1}).

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr : float
    betas : (float, float)
        Decay of the two running means.
    eps : float
    weight_decay : float
        Added to the gradient as weight_decay * x, unless decoupled.
    momentum_decay : float
        How fast the momentum rises; 0 leaves it at betas[0] / 2.
    decoupled_weight_decay : bool
        x -= lr * weight_decay * x before the step instead, as in AdamW.
    maximize : bool
        Ascend instead.
    on_nonfinite : {"raise", "skip", "zero"}
        See `Optimizer`.
    """

    name = "nadam"
    buffers = ("exp_avg", "exp_avg_sq")
    clock = {"step": 0, "mu_product": 1}
    kernel = kernels.nadam
    advance = kernels.advance_nadam

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        momentum_decay=4e-3,
        decoupled_weight_decay=False,
        *,
        maximize=False,
        on_nonfinite="raise",
    ):
        defaults = dict(
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )
        super().__init__(params, defaults, on_nonfinite)

    def layout(self, group):
        """The settings in the kernel's order."""
        return (
            *adaptive("NAdam", group),
            at_least("NAdam", "momentum_decay", group["momentum_decay"]),
            bool(group["decoupled_weight_decay"]),
            bool(group["maximize"]),
        )
