"""Learning-rate schedules, with PyTorch's names, arguments and formulas."""

import operator

from minidl.engine import outside_recordings


class LRScheduler:
    """Base class: sets ``group["lr"]`` of every parameter group, once when made and at every `step`.

    Parameters
    ----------
    optimizer : Optimizer
    last_epoch : int
        -1 begins a new schedule; anything else goes on with one, from groups that have an ``"initial_lr"``.

    Attributes
    ----------
    base_lrs : list of float
        Where the groups' rates began.
    last_epoch : int
        Steps since then.
    """

    def __init__(self, optimizer, last_epoch=-1):
        name = type(self).__name__
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(f"{name}: last_epoch is {last_epoch}, but param_groups[{i}] has no 'initial_lr'")
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    def get_lr(self):
        """The rates of the groups at `last_epoch`, given those before."""
        raise NotImplementedError(f"{type(self).__name__}: get_lr")

    def step(self):
        """Begin the next epoch."""
        outside_recordings(f"{type(self).__name__}.step")
        self.last_epoch += 1
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate

    def get_last_lr(self):
        """The rates of the groups now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self):
        """All that the schedule needs to go on, but not the optimizer."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict):
        """Go on where `state_dict` was taken; the groups' rates belong to the optimizer's own state."""
        self.__dict__.update(state_dict)


class StepLR(LRScheduler):
    """lr *= gamma, every `step_size` steps.

    Parameters
    ----------
    optimizer : Optimizer
    step_size : int
    gamma : float
    last_epoch : int
    """

    def __init__(self, optimizer, step_size, gamma=0.1, last_epoch=-1):
        if operator.index(step_size) < 1:
            raise ValueError(f"StepLR: step_size: got {step_size}, expected at least 1")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [rate * self.gamma if due else rate for rate in self.get_last_lr()]


class ExponentialLR(LRScheduler):
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

    def get_lr(self):
        return [rate * self.gamma if self.last_epoch > 0 else rate for rate in self.get_last_lr()]
