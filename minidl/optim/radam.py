"""RAdam."""

from minidl.kernels import adam as kernels
from minidl.optim.optimizer import Optimizer
from minidl.optim.settings import adaptive


class RAdam(Optimizer):
    """x -= lr * r * m / (sqrt(v) + eps): Adam that rectifies the variance of its first steps (Liu et al. 2020).

    m is the bias-corrected running mean of g and v that of g^2, with eps added before the correction as PyTorch does.
    v is a mean over about rho_t = rho - 2 t betas[1]^t / (1 - betas[1]^t) gradients, rho = 2 / (1 - betas[1]) - 1.
    While rho_t <= 5 the step is lr * m, and then
    r = sqrt((rho_t - 4) (rho_t - 2) rho / ((rho - 4) (rho - 2) rho_t)).

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr : float
    betas : (float, float)
        Decay of the two running means.
    eps : float
    weight_decay : float
        Added to the gradient as weight_decay * x, unless decoupled.
    decoupled_weight_decay : bool
        x -= lr * weight_decay * x before the step instead, as in AdamW.
    maximize : bool
        Ascend instead.
    on_nonfinite : {"raise", "skip", "zero"}
        See `Optimizer`.
    """

    name = "radam"
    buffers = ("exp_avg", "exp_avg_sq")
    kernel = kernels.radam

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
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
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )
        super().__init__(params, defaults, on_nonfinite)

    def layout(self, group):
        """The settings in the kernel's order."""
        return (*adaptive("RAdam", group), bool(group["decoupled_weight_decay"]), bool(group["maximize"]))
