"""Schedules that are functions of the user's."""

from minidl.optim.lr_scheduler.scheduler import LRScheduler, per_group


class _Functions(LRScheduler):
    """A function of the number of steps, for all groups or one each."""

    def __init__(self, optimizer, lr_lambda, last_epoch=-1):
        name = type(self).__name__
        self.lr_lambdas = per_group(f"{name}: lr_lambda", optimizer, lr_lambda)
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(f"{name}: lr_lambda: got {type(function).__name__}, expected a function")
        super().__init__(optimizer, last_epoch)

    def _scaled(self, rates):
        return [rate * function(self.last_epoch) for rate, function in zip(rates, self.lr_lambdas, strict=True)]


class LambdaLR(_Functions):
    """lr = base_lr * lr_lambda(t).

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : callable, or list of callables
        ``lr_lambda(t)`` for t = 0, 1, 2, ...; for all groups, or one each.
    last_epoch : int
    """

    def get_lr(self):
        return self._scaled(self.base_lrs)


class MultiplicativeLR(_Functions):
    """lr *= lr_lambda(t), from the second step on.

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : callable, or list of callables
        ``lr_lambda(t)`` for t = 1, 2, ...; for all groups, or one each.
    last_epoch : int
    """

    def get_lr(self):
        return self._scaled(self.get_last_lr())

    def _begin(self):
        self.last_epoch += 1

    def _restart(self):
        """There is no formula to return to: multiply what the schedule before has left."""
        self._rewind()
        self.step()
