"""Schedules that go up and down."""

import math

from minidl.engine import outside_recordings
from minidl.optim.lr_scheduler.curves import check_steps
from minidl.optim.lr_scheduler.scheduler import LRScheduler, per_group


class CosineAnnealingWarmRestarts(LRScheduler):
    """lr = eta_min + (base_lr - eta_min) (1 + cos(pi T_cur / T_i)) / 2, over and over: Loshchilov and Hutter (2017).

    Parameters
    ----------
    optimizer : Optimizer
    T_0 : int
        Steps to the first restart.
    T_mult : int
        Each period is this many times as long as the one before.
    eta_min : float
    last_epoch : int

    Attributes
    ----------
    T_cur : float
        Steps since the last restart.
    T_i : int
        Length of the period.
    """

    def __init__(self, optimizer, T_0, T_mult=1, eta_min=0.0, last_epoch=-1):
        check_steps("CosineAnnealingWarmRestarts", "T_0", T_0)
        check_steps("CosineAnnealingWarmRestarts", "T_mult", T_mult)
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        self._go_to(last_epoch)
        super().__init__(optimizer, last_epoch)

    def _go_to(self, position):
        self.T_cur, self.T_i = position, self.T_0

    def _rewind(self):
        super()._rewind()
        self._go_to(-1)

    def get_lr(self):
        return [cosine(rate, self.eta_min, self.T_cur / self.T_i) for rate in self.base_lrs]

    def step(self, epoch=None):
        """Begin the next epoch.

        Parameters
        ----------
        epoch : float, optional
            Where to be instead, such as ``epoch + batch / batches`` after every batch; at least 0.
        """
        outside_recordings("CosineAnnealingWarmRestarts.step")
        if epoch is None:
            self.T_cur += 1
        elif epoch < 0:
            raise ValueError(f"CosineAnnealingWarmRestarts: step: epoch: got {epoch}, expected at least 0")
        else:
            self._go_to(epoch)
            self.last_epoch = math.floor(epoch) - 1
        while self.T_cur >= self.T_i:
            self.T_cur, self.T_i = self.T_cur - self.T_i, self.T_i * self.T_mult
        super().step()


class _Cycle(LRScheduler):
    """May take momentum, or the first beta, down while the rate goes up, and back."""

    def _find_momentum(self, optimizer, cycle_momentum):
        self.cycle_momentum = cycle_momentum
        self.momentum = next((name for name in ("betas", "momentum") if name in optimizer.defaults), None)
        if cycle_momentum and self.momentum is None:
            raise ValueError(f"{type(self).__name__}: cycle_momentum: the optimizer has neither momentum nor betas")

    def _set_momentum(self, values):
        for group, value in zip(self.optimizer.param_groups, values, strict=True):
            group[self.momentum] = (value, *group["betas"][1:]) if self.momentum == "betas" else value


class CyclicLR(_Cycle):
    """From `base_lr` up to `max_lr` and back along lines, over and over: Smith (2017). Step it after every batch.

    Parameters
    ----------
    optimizer : Optimizer
    base_lr, max_lr : float or list of float
        For all groups, or one each.
    step_size_up : int
    step_size_down : int, optional
        By default as many as up.
    mode : {"triangular", "triangular2", "exp_range"}
        How high the cycles are: all the same, each half of the one before, or gamma^t.
    gamma : float
    scale_fn : callable, optional
        Height in place of `mode`: of the number of the cycle, from 1, or of t.
    scale_mode : {"cycle", "iterations"}
        Which of the two `scale_fn` is given.
    cycle_momentum : bool
        Whether momentum, or the first beta, goes from `max_momentum` down to `base_momentum` while the rate goes up.
    base_momentum, max_momentum : float or list of float
    last_epoch : int
    """

    def __init__(
        self, optimizer, base_lr, max_lr, step_size_up=2000, step_size_down=None, mode="triangular", gamma=1.0,
        scale_fn=None, scale_mode="cycle", cycle_momentum=True, base_momentum=0.8, max_momentum=0.9, last_epoch=-1,
    ):  # fmt: skip
        step_size_down = step_size_up if step_size_down is None else step_size_down
        for argument, value in (("step_size_up", step_size_up), ("step_size_down", step_size_down)):
            if not value > 0:
                raise ValueError(f"CyclicLR: {argument}: got {value}, expected more than 0")
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(f"CyclicLR: mode: got {mode!r}, expected 'triangular', 'triangular2' or 'exp_range'")
        if scale_mode not in ("cycle", "iterations"):
            raise ValueError(f"CyclicLR: scale_mode: got {scale_mode!r}, expected 'cycle' or 'iterations'")
        self.step_size_up, self.step_size_down, self.mode, self.gamma = step_size_up, step_size_down, mode, gamma
        self.scale_fn, self.scale_mode = scale_fn, scale_mode
        self._find_momentum(optimizer, cycle_momentum)
        self.low_lrs = per_group("CyclicLR: base_lr", optimizer, base_lr)
        self.max_lrs = per_group("CyclicLR: max_lr", optimizer, max_lr)
        self.base_momentums = per_group("CyclicLR: base_momentum", optimizer, base_momentum)
        self.max_momentums = per_group("CyclicLR: max_momentum", optimizer, max_momentum)
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, self.low_lrs, strict=True):
                group["lr"] = rate
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        cycle, position = divmod(self.last_epoch, self.step_size_up + self.step_size_down)
        if position <= self.step_size_up:
            height = position / self.step_size_up
        else:
            height = 1 - (position - self.step_size_up) / self.step_size_down
        height *= self._scale(cycle + 1)
        if self.cycle_momentum:
            self._set_momentum(
                linear(top, base, height) for base, top in zip(self.base_momentums, self.max_momentums, strict=True)
            )
        return [linear(low, high, height) for low, high in zip(self.low_lrs, self.max_lrs, strict=True)]

    def _scale(self, cycle):
        if self.scale_fn is not None:
            return self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.mode == "exp_range":
            return self.gamma**self.last_epoch
        return 0.5 ** (cycle - 1) if self.mode == "triangular2" else 1.0


class OneCycleLR(_Cycle):
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
        check_steps("OneCycleLR", "total_steps", total_steps)
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start: got {pct_start}, expected 0 <= pct_start <= 1")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy: got {anneal_strategy!r}, expected 'cos' or 'linear'")
        self.total_steps, self.anneal_strategy = total_steps, anneal_strategy
        self._find_momentum(optimizer, cycle_momentum)
        up, last = pct_start * total_steps - 1, total_steps - 1
        low, high, end = ("initial_lr", "max_momentum"), ("max_lr", "base_momentum"), ("min_lr", "max_momentum")
        phases = [(up, low, high), (last, high, end)]  # its last step, where the numbers begin and end
        if three_phase:
            phases = [(up, low, high), (2 * up, high, low), (last, low, end)]
        self.phases = tuple(phases)
        if last_epoch == -1:
            rates = per_group("OneCycleLR: max_lr", optimizer, max_lr)
            bases = per_group("OneCycleLR: base_momentum", optimizer, base_momentum)
            tops = per_group("OneCycleLR: max_momentum", optimizer, max_momentum)
            for group, rate, base, top in zip(optimizer.param_groups, rates, bases, tops, strict=True):
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
        (start, start_momentum), (end, end_momentum) = self.phases[i][1:]
        groups = self.optimizer.param_groups
        if self.cycle_momentum:
            self._set_momentum([between(group[start_momentum], group[end_momentum], share) for group in groups])
        return [between(group[start], group[end], share) for group in groups]


def cosine(start, end, share):
    """From `start` at share 0 to `end` at share 1, along half a wave."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def linear(start, end, share):
    """From `start` at share 0 to `end` at share 1, along a line."""
    return start + (end - start) * share
