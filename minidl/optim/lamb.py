"""LAMB."""

from minidl.kernels import adam as kernels
from minidl.optim.optimizer import Optimizer
from minidl.optim.settings import adaptive


class LAMB(Optimizer):
    """x -= lr * |x| / |u| * u,  u = m / (sqrt(v) + eps) + weight_decay * x (You et al. 2020, algorithm 2).

    m and v are the bias-corrected running means of g and g^2, as in Adam; the norms are those of a whole parameter, so
    that every parameter moves by the share lr of its own size. Where one of them is 0, the step is lr * u.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr : float
    betas : (float, float)
        Decay of the two running means.
    eps : float
    weight_decay : float
        Decoupled: not part of the running means.
    maximize : bool
        Ascend instead.
    on_nonfinite : {"raise", "skip", "zero"}
        See `Optimizer`.
    """

    name = "lamb"
    buffers = ("exp_avg", "exp_avg_sq")
    kernel = kernels.lamb
    per_parameter = True

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-6,
        weight_decay=1e-2,
        *,
        maximize=False,
        on_nonfinite="raise",
    ):
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize)
        super().__init__(params, defaults, on_nonfinite)

    def layout(self, group):
        """The settings in the kernel's order."""
        return (*adaptive("LAMB", group), bool(group["maximize"]))
