"""Several schedules for one optimizer: at the same time, or one after the other."""

from bisect import bisect_right

from minidl.engine import outside_recordings
from minidl.optim.lr_scheduler.plateau import ReduceLROnPlateau
from minidl.optim.lr_scheduler.scheduler import LRScheduler


class _Composed(LRScheduler):
    """Steps other schedules; the parts' steps set the rates."""

    _schedulers: list[LRScheduler]

    def _take(self, schedulers, optimizer):
        """Note the parts; ValueError or TypeError if they cannot be."""
        name = type(self).__name__
        self._schedulers = list(schedulers)
        if not self._schedulers:
            raise ValueError(f"{name}: schedulers: got none, expected at least one")
        for i, scheduler in enumerate(self._schedulers):
            if not isinstance(scheduler, LRScheduler):
                raise TypeError(f"{name}: schedulers[{i}]: got {type(scheduler).__name__}, expected an LRScheduler")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(f"{name}: schedulers[{i}]: ReduceLROnPlateau needs a figure at every step")
            if optimizer is None:
                optimizer = scheduler.optimizer
            if scheduler.optimizer is not optimizer:
                raise ValueError(f"{name}: schedulers[{i}]: {type(scheduler).__name__} is for another optimizer")
        self.optimizer = optimizer

    def _rewind(self):
        super()._rewind()
        for scheduler in self._schedulers:
            scheduler._rewind()


class ChainedScheduler(_Composed):
    """Several schedules at once: every step is a step of each, in turn, so that their factors multiply.

    Parameters
    ----------
    schedulers : sequence of LRScheduler
        Those that change the rate as they find it: `LambdaLR` and the cycles set their own instead.
    optimizer : Optimizer, optional
        By default that of the schedules.
    """

    def __init__(self, schedulers, optimizer=None):
        self._take(schedulers, optimizer)
        self.base_lrs, self.last_epoch = self._schedulers[0].base_lrs, self._schedulers[0].last_epoch

    def step(self):
        outside_recordings("ChainedScheduler.step")
        self.last_epoch += 1
        for scheduler in self._schedulers:
            scheduler.step()

    def _begin(self):
        self.last_epoch += 1
        for scheduler in self._schedulers:
            scheduler._begin()


class SequentialLR(_Composed):
    """One schedule after the other, each from its own beginning.

    Parameters
    ----------
    optimizer : Optimizer
    schedulers : sequence of LRScheduler
    milestones : sequence of int
        Steps at which the second, third, ... schedule begins, in rising order.
    last_epoch : int
        Steps, less one, to make at once.

    Examples
    --------
    A warm-up of 500 steps:

    >>> warmup = LinearLR(optimizer, start_factor=0.01, total_iters=500)
    >>> schedule = SequentialLR(optimizer, [warmup, CosineAnnealingLR(optimizer, 10_000)], milestones=[500])
    """

    def __init__(self, optimizer, schedulers, milestones, last_epoch=-1):
        self._take(schedulers, optimizer)
        self._milestones = tuple(milestones)
        if len(self._milestones) != len(self._schedulers) - 1 or sorted(milestones) != list(milestones):
            raise ValueError(
                f"SequentialLR: milestones: got {milestones} for {len(self._schedulers)} schedulers, "
                f"expected {len(self._schedulers) - 1} in rising order"
            )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self._restart()
        for _ in range(last_epoch + 1):
            self.step()

    def _due(self):
        return self._schedulers[bisect_right(self._milestones, self.last_epoch)]

    def step(self):
        outside_recordings("SequentialLR.step")
        self.last_epoch += 1
        if self.last_epoch in self._milestones:
            self._due()._restart()
        else:
            self._due().step()

    def _begin(self):
        self.last_epoch += 1
        self._due()._begin()
