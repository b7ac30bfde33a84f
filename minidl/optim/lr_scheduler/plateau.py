"""A schedule that looks at the results."""

import math

from minidl.engine import outside_recordings
from minidl.optim.lr_scheduler.scheduler import LRScheduler, check_optimizer, per_group


class ReduceLROnPlateau(LRScheduler):
    """lr *= factor, where a figure has not improved for more than `patience` steps in a row.

    Parameters
    ----------
    optimizer : Optimizer
    mode : {"min", "max"}
        Which way is better.
    factor : float
        Less than 1.
    patience : int
        Steps without improvement that change nothing.
    threshold : float
        A smaller improvement is none.
    threshold_mode : {"rel", "abs"}
        Whether `threshold` is a share of the best figure.
    cooldown : int
        Steps after a reduction that do not count.
    min_lr : float or list of float
        Lowest rate, for all groups or one each.
    eps : float
        A smaller reduction is not made.

    Attributes
    ----------
    best : float
    num_bad_epochs : int
        Steps since the last improvement, reduction or cooldown.
    cooldown_counter : int
        Steps of the cooldown that are left.
    """

    def __init__(
        self, optimizer, mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel", cooldown=0,
        min_lr=0, eps=1e-8,
    ):  # fmt: skip
        self.optimizer = check_optimizer("ReduceLROnPlateau", optimizer)
        if not factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor: got {factor}, expected factor < 1")
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: mode: got {mode!r}, expected 'min' or 'max'")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"ReduceLROnPlateau: threshold_mode: got {threshold_mode!r}, expected 'rel' or 'abs'")
        self.mode, self.factor, self.patience, self.eps = mode, factor, patience, eps
        self.threshold, self.threshold_mode, self.cooldown = threshold, threshold_mode, cooldown
        self.min_lrs = per_group("ReduceLROnPlateau: min_lr", optimizer, min_lr)
        self.last_epoch = self.num_bad_epochs = self.cooldown_counter = 0
        self.best = math.inf if mode == "min" else -math.inf

    def step(self, metrics):  # type: ignore[override]
        """Look at the figure of an epoch.

        Parameters
        ----------
        metrics : float or Tensor with one element
            NaN is no improvement.
        """
        outside_recordings("ReduceLROnPlateau.step")
        value = float(metrics)
        self.last_epoch += 1
        self.num_bad_epochs += 1
        if self._improves(value):
            self.best, self.num_bad_epochs = value, 0
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._set_lr(self.get_lr())
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def get_lr(self):
        """The reduced rates."""
        rates = self.get_last_lr()
        reduced = [max(rate * self.factor, low) for rate, low in zip(rates, self.min_lrs, strict=True)]
        return [new if rate - new > self.eps else rate for rate, new in zip(rates, reduced, strict=True)]

    def _improves(self, value):
        sign = 1 if self.mode == "max" else -1
        least = self.best + sign * self.threshold
        if self.threshold_mode == "rel":
            least = self.best * (1 + sign * self.threshold)
        return sign * value > sign * least
