"""Decay of weights, coupled (part of the gradient) and decoupled (beside the optimizer's step)."""

import numpy as np

from minidl.engine import Statistics, memory
from minidl.engine.checks import at_least, policy
from minidl.kernels import decay as kernels
from minidl.kernels.kernel import Kernel
from minidl.stabilize.update import (
    Setting,
    Update,
    expect_optimizer,
    parameter_list,
    runs,
    segments,
    sizes,
    with_gradient,
)


class CoupledDecay(Update):
    """Base of decays that are added to the gradient; called between `backward` and the optimizer's step."""

    kernel: Kernel
    rate = Setting(0, at_least)

    def __init__(self, parameters, rate, on_nonfinite="raise"):
        super().__init__()
        self.parameters = parameter_list(self.name, parameters)
        self.on_nonfinite = on_nonfinite
        self.cells = np.array([0, policy(self.name, on_nonfinite)], np.float64)
        self.rate = rate
        self.statistics = Statistics("changed")

    def __call__(self):
        """Add the decay to the gradients."""
        for dtype, members in with_gradient(self.parameters).items():
            weights, gradients = [p.array for p in members], [p.buffer for p in members]
            stretches = runs([weights, gradients], [None] * len(members))
            pieces = segments(gradients, stretches)
            scratch = [memory.empty((2, len(pieces)), np.float64), self.statistics.cells]
            self.call(self.kernel, pieces, segments(weights, stretches), sizes(pieces), self.cells, dtype, scratch)
            self.found_finite(members)


class L1Decay(CoupledDecay):
    """g = g + rate * sign(w): the gradient of rate * sum of |w|.

    Parameters
    ----------
    parameters : iterable of Parameter, or one
    rate : float
        >= 0. May be changed between steps.
    on_nonfinite : {"raise", "skip", "zero"}
        What to do when the norm of the gradients is then NaN or Inf: raise, leave them as they are, or set all to 0.

    Attributes
    ----------
    statistics : Statistics
        The norm of the gradients before and after.
    """

    name = "L1Decay"
    kernel = kernels.l1_decay


class L2Decay(CoupledDecay):
    """g = g + rate * w: the gradient of rate / 2 * sum of w^2.

    Parameters
    ----------
    parameters : iterable of Parameter, or one
    rate : float
        >= 0. May be changed between steps.
    on_nonfinite : {"raise", "skip", "zero"}
        What to do when the norm of the gradients is then NaN or Inf: raise, leave them as they are, or set all to 0.

    Attributes
    ----------
    statistics : Statistics
        The norm of the gradients before and after.
    """

    name = "L2Decay"
    kernel = kernels.l2_decay


class WeightDecay(Update):
    """w = w * (1 - lr * rate), with lr as the optimizer's groups have it at that step.

    Called before the optimizer's step, it makes Adam AdamW. It changes parameters that have a gradient, also where the
    optimizer then skips the step.

    Parameters
    ----------
    optimizer : Optimizer
    rate : float
        >= 0. May be changed between steps.
    parameters : iterable of Parameter, or one, optional
        Which of the optimizer's parameters; by default all.

    Attributes
    ----------
    statistics : Statistics
        The norm of the weights before and after.

    References
    ----------
    Loshchilov, Hutter, "Decoupled weight decay regularization", 2019.
    """

    name = "WeightDecay"
    rate = Setting(0, at_least)

    def __init__(self, optimizer, rate, parameters=None):
        super().__init__()
        self.optimizer, self.cells = expect_optimizer(self.name, optimizer), np.zeros(1)
        self.rate = rate
        self.chosen = None if parameters is None else set(parameter_list(self.name, parameters))
        if not (self.chosen or set()) <= set(optimizer.parameters):
            raise ValueError(f"{self.name}: parameters: got some that the optimizer does not have")
        self.statistics = Statistics("changed")

    parameters = property(
        lambda self: [p for p in self.optimizer.parameters if self.chosen is None or p in self.chosen]
    )

    def __call__(self):
        """Shrink the weights."""
        self.optimizer.rely()
        chosen = set(self.parameters)
        for group in self.optimizer.param_groups:
            for dtype, members in with_gradient(p for p in group["params"] if p in chosen).items():
                weights = [parameter.array for parameter in members]
                pieces = segments(weights, runs([weights], [None] * len(members)))
                scratch = [memory.empty(len(pieces), np.float64), self.statistics.cells]
                self.call(kernels.weight_decay, pieces, [group.cells], sizes(pieces), self.cells, dtype, scratch)
