"""What all learning-rate schedules share."""

from minidl.engine import outside_recordings
from minidl.optim.optimizer import Optimizer


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
        self.optimizer = check_optimizer(name, optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(f"{name}: last_epoch is {last_epoch}, but param_groups[{i}] has no 'initial_lr'")
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._begin()

    def get_lr(self):
        """The rates of the groups at `last_epoch`, given those before."""
        raise NotImplementedError(f"{type(self).__name__}: get_lr")

    def step(self):
        """Begin the next epoch."""
        outside_recordings(f"{type(self).__name__}.step")
        self.last_epoch += 1
        self._set_lr(self.get_lr())

    def get_last_lr(self):
        """The rates of the groups now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self):
        """All that the schedule needs to go on, but not the optimizer, nor the code of functions that it was given."""
        return {name: saved(value) for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict):
        """Go on where `state_dict` was taken; the groups' rates belong to the optimizer's own state.

        Raises
        ------
        ValueError
            If it is of a schedule for another number of groups, or of other schedules; nothing has been changed then.
        """
        name = type(self).__name__
        fitting = {key: value for key, value in state_dict.items() if key in self.__dict__}
        for key, value in fitting.items():
            present = self.__dict__[key]
            if isinstance(present, list) and len(present) != len(value):
                raise ValueError(f"{name}: load_state_dict: {key}: got {len(value)} items, expected {len(present)}")
        for key, value in state_dict.items():
            self.__dict__[key] = restored(self.__dict__.get(key), value)

    # how a schedule begins: in the constructor, and as a part of others

    def _begin(self):
        """The step that the constructor makes."""
        self.step()

    def _rewind(self):
        """Forget all steps."""
        self.last_epoch = -1

    def _restart(self):
        """Begin anew, from the base rates."""
        self._set_lr(self.base_lrs)
        self._rewind()
        self._begin()

    def _set_lr(self, rates):
        groups = self.optimizer.param_groups
        if len(rates) != len(groups):
            raise ValueError(
                f"{type(self).__name__}: got {len(rates)} rates for {len(groups)} parameter groups; "
                "a group that is added calls for a new schedule"
            )
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate


class Curve(LRScheduler):
    """lr = eta_min + (base_lr - eta_min) * share(t).

    A step multiplies what the rates have above `eta_min` by share(t) / share(t - 1): the same numbers where the
    schedule is alone, and a product of all shares where several act together (`ChainedScheduler`).
    """

    eta_min = 0.0

    def share(self, t):
        """Share of the base rate after `t` steps."""
        raise NotImplementedError(f"{type(self).__name__}: share")

    def get_lr(self):
        t = self.last_epoch
        before, now = self.share(t - 1) if t > 0 else 1.0, self.share(t)
        rates = []
        for rate, base in zip(self.get_last_lr(), self.base_lrs, strict=True):
            above = rate - self.eta_min
            above = above * (now / before) if before else above + (base - self.eta_min) * now
            rates.append(self.eta_min + above)
        return rates

    def _begin(self):
        if self.last_epoch < 0:
            self.step()
        else:  # the groups have their rates: those after the last step before
            self.last_epoch += 1


def check_optimizer(name, optimizer):
    """`optimizer`; TypeError if it is none."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{name}: optimizer: got {type(optimizer).__name__}, expected an Optimizer")
    return optimizer


def per_group(name, optimizer, value):
    """`value` for every group, or its items for one each."""
    groups = len(optimizer.param_groups)
    values = list(value) if isinstance(value, (list, tuple)) else [value] * groups
    if len(values) != groups:
        raise ValueError(f"{name}: got {len(values)} values, expected one for each of {groups} parameter groups")
    return values


def saved(value):
    """What a state_dict has of an attribute: of a schedule its state, of a callable object its attributes."""
    if isinstance(value, list):
        return [saved(item) for item in value]
    if isinstance(value, LRScheduler):
        return value.state_dict()
    return dict(getattr(value, "__dict__", {})) if callable(value) else value


def restored(present, value):
    """An attribute with the value that `saved` made of it, or of its like."""
    if isinstance(present, list):
        return [restored(*pair) for pair in zip(present, value, strict=True)]
    if isinstance(present, LRScheduler):
        present.load_state_dict(value)
        return present
    if callable(present):
        if value:  # a built-in function has no attributes
            vars(present).update(value)
        return present
    return value
