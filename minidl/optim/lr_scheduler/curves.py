"""Schedules with a formula: lr = base_lr * share(t)."""

import math
import operator
from bisect import bisect_right

from minidl.optim.lr_scheduler.scheduler import Curve


class StepLR(Curve):
    """lr *= gamma, every `step_size` steps.

    Parameters
    ----------
    optimizer : Optimizer
    step_size : int
    gamma : float
    last_epoch : int
    """

    def __init__(self, optimizer, step_size, gamma=0.1, last_epoch=-1):
        check_steps("StepLR", "step_size", step_size)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def share(self, t):
        return self.gamma ** (t // self.step_size)


class MultiStepLR(Curve):
    """lr *= gamma, at every milestone.

    Parameters
    ----------
    optimizer : Optimizer
    milestones : iterable of int
        Steps; one that comes twice counts twice.
    gamma : float
    last_epoch : int
    """

    def __init__(self, optimizer, milestones, gamma=0.1, last_epoch=-1):
        self.milestones, self.gamma = tuple(sorted(map(operator.index, milestones))), gamma
        super().__init__(optimizer, last_epoch)

    def share(self, t):
        return self.gamma ** bisect_right(self.milestones, t)


class ConstantLR(Curve):
    """lr = base_lr * factor for `total_iters` steps, then base_lr.

    Parameters
    ----------
    optimizer : Optimizer
    factor : float
        0 <= factor <= 1.
    total_iters : int
    last_epoch : int
    """

    def __init__(self, optimizer, factor=1.0 / 3, total_iters=5, last_epoch=-1):
        if not 0 <= factor <= 1:
            raise ValueError(f"ConstantLR: factor: got {factor}, expected 0 <= factor <= 1")
        check_steps("ConstantLR", "total_iters", total_iters)
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def share(self, t):
        return self.factor if t < self.total_iters else 1.0


class LinearLR(Curve):
    """lr / base_lr goes from `start_factor` to `end_factor` in `total_iters` steps of equal size, and stays there.

    The usual warm-up: see `SequentialLR`.

    Parameters
    ----------
    optimizer : Optimizer
    start_factor : float
        0 < start_factor <= 1.
    end_factor : float
        0 <= end_factor <= 1.
    total_iters : int
    last_epoch : int
    """

    def __init__(self, optimizer, start_factor=1.0 / 3, end_factor=1.0, total_iters=5, last_epoch=-1):
        if not 0 < start_factor <= 1:
            raise ValueError(f"LinearLR: start_factor: got {start_factor}, expected 0 < start_factor <= 1")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: end_factor: got {end_factor}, expected 0 <= end_factor <= 1")
        check_steps("LinearLR", "total_iters", total_iters)
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def share(self, t):
        return self.start_factor + (self.end_factor - self.start_factor) * min(t / self.total_iters, 1.0)


class ExponentialLR(Curve):
    """lr *= gamma, at every step.

    Parameters
    ----------
    optimizer : Optimizer
    gamma : float
    last_epoch : int
    """

    def __init__(self, optimizer, gamma, last_epoch=-1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def share(self, t):
        return self.gamma**t


class PolynomialLR(Curve):
    """lr = base_lr (1 - t / total_iters)^power, and 0 from `total_iters` on.

    Parameters
    ----------
    optimizer : Optimizer
    total_iters : int
    power : float
    last_epoch : int
    """

    def __init__(self, optimizer, total_iters=5, power=1.0, last_epoch=-1):
        check_steps("PolynomialLR", "total_iters", total_iters)
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def share(self, t):
        return (1.0 - min(t / self.total_iters, 1.0)) ** self.power


class CosineAnnealingLR(Curve):
    """lr = eta_min + (base_lr - eta_min) (1 + cos(pi t / T_max)) / 2: Loshchilov and Hutter (2017), without restarts.

    Parameters
    ----------
    optimizer : Optimizer
    T_max : int
        Steps from the first rate to the last; behind them it rises again.
    eta_min : float
    last_epoch : int
    """

    def __init__(self, optimizer, T_max, eta_min=0.0, last_epoch=-1):
        check_steps("CosineAnnealingLR", "T_max", T_max)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def share(self, t):
        return (1 + math.cos(math.pi * t / self.T_max)) / 2


def check_steps(name, argument, value):
    """ValueError unless `value` is an integer of at least 1."""
    if operator.index(value) < 1:
        raise ValueError(f"{name}: {argument}: got {value}, expected at least 1")
