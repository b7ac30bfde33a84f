"""Learning-rate schedules, with PyTorch's names, arguments and formulas."""

import math
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


class CosineAnnealingLR(LRScheduler):
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
        if operator.index(T_max) < 1:
            raise ValueError(f"CosineAnnealingLR: T_max: got {T_max}, expected at least 1")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        share = self.last_epoch / self.T_max
        return [cosine(rate, self.eta_min, share) for rate in self.base_lrs]


class OneCycleLR(LRScheduler):
    """Up to a large rate and down to next to nothing, in one run: Smith and Topin (2019). Step it after every batch.

    Parameters
    ----------
    optimizer : Optimizer
    max_lr : float or list of float
        For all groups, or one each.
    total_steps : int, optional
    epochs, steps_per_epoch : int, optional
        Their product, where `total_steps` is not given.
    pct_start : float
        Share of the steps that go up.
    anneal_strategy : {"cos", "linear"}
    cycle_momentum : bool
        Whether momentum, or the first beta, goes down while the rate goes up, and back.
    base_momentum, max_momentum : float or list of float
    div_factor : float
        The first rate is max_lr / div_factor.
    final_div_factor : float
        The last one is the first / final_div_factor.
    three_phase : bool
        Down to the first rate as fast as up, and then to the last one.
    last_epoch : int
    """

    def __init__(
        self, optimizer, max_lr, total_steps=None, epochs=None, steps_per_epoch=None, pct_start=0.3,
        anneal_strategy="cos", cycle_momentum=True, base_momentum=0.85, max_momentum=0.95, div_factor=25.0,
        final_div_factor=1e4, three_phase=False, last_epoch=-1,
    ):  # fmt: skip
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: expected total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if operator.index(total_steps) < 1:
            raise ValueError(f"OneCycleLR: total_steps: got {total_steps}, expected at least 1")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start: got {pct_start}, expected 0 <= pct_start <= 1")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy: got {anneal_strategy!r}, expected 'cos' or 'linear'")
        self.momentum = next((name for name in ("betas", "momentum") if name in optimizer.defaults), None)
        if cycle_momentum and self.momentum is None:
            raise ValueError("OneCycleLR: cycle_momentum: the optimizer has neither momentum nor betas")
        self.total_steps, self.anneal_strategy, self.cycle_momentum = total_steps, anneal_strategy, cycle_momentum
        up, last = pct_start * total_steps - 1, total_steps - 1
        low, high, end = ("initial_lr", "max_momentum"), ("max_lr", "base_momentum"), ("min_lr", "max_momentum")
        self.phases = [(up, low, high), (last, high, end)]  # its last step, where the numbers begin and end
        if three_phase:
            self.phases = [(up, low, high), (2 * up, high, low), (last, low, end)]
        if last_epoch == -1:
            values = [per_group(optimizer, value) for value in (max_lr, base_momentum, max_momentum)]
            for group, rate, base, top in zip(optimizer.param_groups, *values, strict=True):
                first = rate / div_factor
                group.update(initial_lr=first, max_lr=rate, min_lr=first / final_div_factor)
                if cycle_momentum:
                    group.update(base_momentum=base, max_momentum=top)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        if self.last_epoch > self.total_steps:  # one step after the last batch is a habit, and does no harm
            raise ValueError(f"OneCycleLR: step {self.last_epoch} of {self.total_steps}: the cycle is over")
        ends = [0, *(end for end, _, _ in self.phases)]
        i = next((i for i in range(len(self.phases)) if self.last_epoch <= ends[i + 1]), len(self.phases) - 1)
        share = min((self.last_epoch - ends[i]) / (ends[i + 1] - ends[i]), 1.0) if ends[i + 1] > ends[i] else 1.0
        between = cosine if self.anneal_strategy == "cos" else linear
        _, start, end = self.phases[i]
        rates = []
        for group in self.optimizer.param_groups:
            rate, momentum = (
                between(group[a], group[b], share) if a in group else None for a, b in zip(start, end, strict=True)
            )
            rates.append(rate)
            if self.cycle_momentum:
                group[self.momentum] = (momentum, group["betas"][1]) if self.momentum == "betas" else momentum
        return rates


def cosine(start, end, share):
    """From `start` at share 0 to `end` at share 1, along half a wave."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def linear(start, end, share):
    """From `start` at share 0 to `end` at share 1, along a line."""
    return start + (end - start) * share


def per_group(optimizer, value):
    """`value` for every group, or its items for one each."""
    groups = len(optimizer.param_groups)
    values = list(value) if isinstance(value, (list, tuple)) else [value] * groups
    if len(values) != groups:
        raise ValueError(f"OneCycleLR: got {len(values)} values, expected one for each of {groups} parameter groups")
    return values
