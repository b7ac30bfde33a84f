"""Adam and AdamW."""

from minidl.kernels import adam as kernels
from minidl.optim.optimizer import Optimizer
from minidl.optim.settings import adaptive


class Adam(Optimizer):
    """x -= lr * m / (sqrt(v) + eps), m and v the bias-corrected running means of g and g^2 (Kingma & Ba 2015).

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr : float
    betas : (float, float)
        Decay of the two running means.
    eps : float
    weight_decay : float
        Coupled: added to the gradient as weight_decay * x.
    amsgrad : bool
        Divide by the largest v so far (Reddi et al. 2018).
    maximize : bool
        Ascend instead.
    on_nonfinite : {"raise", "skip", "zero"}
        See `Optimizer`.
    """

    name = "adam"
    buffers = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    kernel = kernels.adam
    decoupled = False

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        amsgrad=False,
        *,
        maximize=False,
        on_nonfinite="raise",
    ):
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize)
        super().__init__(params, defaults, on_nonfinite)

    def layout(self, group):
        """The settings in the kernel's order."""
        return (*adaptive(type(self).__name__, group), self.decoupled, bool(group["maximize"]))

    def buffers_of(self, group):
        return self.buffers if group["amsgrad"] else self.buffers[:2]


class AdamW(Adam):
    """Adam with decoupled weight decay: x -= lr * weight_decay * x before the step (Loshchilov & Hutter 2019)."""

    name = "adamw"
    decoupled = True

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=1e-2,
        amsgrad=False,
        *,
        maximize=False,
        on_nonfinite="raise",
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, on_nonfinite=on_nonfinite)
