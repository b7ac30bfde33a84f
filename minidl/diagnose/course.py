"""A course of training: what is trained, and how."""

import copy
import inspect
import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minidl.engine import as_tensor, enable_grad, no_grad, record
from minidl.nn import Module, utils
from minidl.optim.optimizer import Optimizer
from minidl.train.trainer import mode


@dataclass
class Course:
    """What is trained, and how.

    Attributes
    ----------
    model : Module
    loss_fn : callable
        ``loss_fn(output, target)`` gives a scalar tensor.
    optimizer : Optimizer
        Over parameters of the model, and no others.
    clip_norm : float or None
        Largest allowed norm of all gradients together.
    warmup : int
        Steps over which the learning rates grow to what they are.

    Examples
    --------
    >>> course = diagnose.Course(model, F.cross_entropy, optimizer)
    >>> treated = prescription.apply(course)
    >>> losses = treated.train(batches, steps=500)
    """

    model: Module
    loss_fn: Any
    optimizer: Optimizer
    clip_norm: float | None = None
    warmup: int = 0

    def __post_init__(self):
        known = set(self.model.parameters())
        for parameter in self.optimizer.parameters:
            if parameter not in known:
                name = parameter.name or f"of shape {parameter.shape}"
                raise ValueError(
                    f"Course: optimizer: its parameter {name} is not among those of {type(self.model).__name__}; "
                    "what is trained must be one model"
                )

    def changed(self, change):
        """A new course with what ``change`` makes of a copy of the model.

        The optimizer is a new one of the same kind with the same settings. Parameters that the change has removed
        leave it, and new ones join its first group; what it has not trained so far it does not train now.
        """
        model = copy.deepcopy(self.model)
        copies = dict(zip(self.model.parameters(), model.parameters(), strict=True))
        model = change(model)
        return replace(self, model=model, optimizer=rebuilt(self.optimizer, copies, model))

    def copy(self):
        """The same with a model and an optimizer of its own."""
        return self.changed(lambda model: model)

    def step(self, *batch):
        """One training step; the loss."""
        *inputs, target = batch
        loss = self.loss_fn(self.model(*inputs), as_tensor(target))
        self.optimizer.zero_grad()
        if loss.requires_grad:
            loss.backward()
            if self.clip_norm is not None:
                utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
            self.optimizer.step()
        return loss

    def train(self, batches, steps):
        """Train, with a recorded step.

        Parameters
        ----------
        batches : DataLoader, or list of batches ``(*inputs, target)``
            Gone through again and again.
        steps : int

        Returns
        -------
        ndarray
            The loss of every step; the first NaN or Inf is the last, and shown as Inf.
        """
        losses: list[float] = []
        rates = [group["lr"] for group in self.optimizer.param_groups]
        step = record(self.step)
        with mode(self.model, True), enable_grad(), np.errstate(all="ignore"):
            for i, batch in enumerate(itertools.islice(again_and_again(batches), steps)):
                if i < self.warmup:
                    self.set_rates(rates, (i + 1) / self.warmup)
                try:
                    losses.append(step(*batch).item())
                except FloatingPointError:
                    losses.append(np.inf)
                if not np.isfinite(losses[-1]):
                    losses[-1] = np.inf
                    break
        self.set_rates(rates, 1.0)
        return np.array(losses)

    def set_rates(self, rates, factor):
        """Learning rates of the groups, times a factor."""
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            if group["lr"] != rate * factor:
                group["lr"] = rate * factor

    def evaluate(self, batches):
        """The mean loss over some batches, in eval mode."""
        total, count = 0.0, 0
        with mode(self.model, False), no_grad(), np.errstate(all="ignore"):
            for *inputs, target in batches:
                loss = self.loss_fn(self.model(*inputs), as_tensor(target)).item()
                total, count = total + loss * len(target), count + len(target)
        if not count:
            raise ValueError("Course: evaluate: got no batches")
        return total / count if np.isfinite(total) else np.inf


def again_and_again(batches):
    """Batches without an end; ValueError if there are none."""
    while True:
        batch = None
        for batch in batches:
            yield batch
        if batch is None:
            raise ValueError("Course: train: got no batches")


def rebuilt(optimizer, copies, model):
    """An optimizer of the same kind and settings over `model`; `copies`: the parameters there of those it has now."""
    here, old = set(model.parameters()), set(copies.values())
    groups = [
        {**group, "params": [copies[p] for p in group["params"] if copies[p] in here]}
        for group in optimizer.param_groups
    ]
    groups[0]["params"] += [p for p in model.parameters() if p not in old]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise ValueError(f"Course: optimizer: nothing that {type(optimizer).__name__} has trained is left")
    known = inspect.signature(type(optimizer)).parameters
    settings = {name: value for name, value in optimizer.defaults.items() if name in known}
    if "on_nonfinite" in known:
        settings["on_nonfinite"] = optimizer.on_nonfinite
    return type(optimizer)(groups, **settings)
