"""Prescriptions that change how a model is trained."""

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minidl.diagnose.inserts import Rescale, WithOutput
from minidl.diagnose.prescriptions.base import ModelPrescription, Prescription, held, listed
from minidl.diagnose.prescriptions.values import recurrent
from minidl.engine import as_tensor
from minidl.engine.checks import above_zero
from minidl.nn import GRU, LSTM, RNN, LogSoftmax, Sequential


@dataclass(eq=False)
class LearningRate(Prescription):
    """All learning rates times a factor."""

    factor: float

    def __post_init__(self):
        above_zero("LearningRate", "factor", self.factor)

    def treat_course(self, course):
        course = course.copy()
        for group in course.optimizer.param_groups:
            group["lr"] = group["lr"] * self.factor
        return course

    def __str__(self):
        return f"multiply the learning rate by {self.factor:.2g}"


@dataclass(eq=False)
class WarmUp(Prescription):
    """Learning rates that grow to what they are over some steps."""

    steps: int

    def treat_course(self, course):
        return replace(course.copy(), warmup=self.steps)

    def __str__(self):
        return f"let the learning rate grow over the first {self.steps} steps"


@dataclass(eq=False)
class Clip(Prescription):
    """Clip the norm of all gradients together.

    Attributes
    ----------
    max_norm : float
    """

    max_norm: float

    def __post_init__(self):
        above_zero("Clip", "max_norm", self.max_norm)

    def treat_course(self, course):
        return replace(course.copy(), clip_norm=self.max_norm)

    def __str__(self):
        return f"clip the gradients' norm to {self.max_norm:.2g}"


@dataclass(eq=False)
class ClipThroughTime(ModelPrescription):
    """Bound |dE/dh_t| of every sequence at every step on the way back through recurrent layers.

    Attributes
    ----------
    bound : float
    layers : tuple of str
        Paths; empty for all recurrent layers.
    """

    bound: float
    layers: tuple = ()

    def change(self, model):
        for layer in recurrent("ClipThroughTime", model, self.layers, (RNN, LSTM, GRU)):
            layer.clip_grad = self.bound
        return model

    def __str__(self):
        return f"clip the gradient to {self.bound:.2g} at every step of {', '.join(self.layers) or 'recurrent layers'}"


@dataclass(eq=False)
class Unfreeze(Prescription):
    """Let layers learn: they want gradients, and the optimizer has them at a rate that is not 0.

    A model alone only gets the first.

    Attributes
    ----------
    layers : tuple of str
        Paths; empty for all.
    """

    layers: tuple = ()

    def members(self, model):
        """The parameters that are meant."""
        return [
            p
            for name, p in model.named_parameters()
            if not self.layers or any(name.startswith(f"{layer}.") or not layer for layer in self.layers)
        ]

    def treat_model(self, model):
        return self.thaw(copy.deepcopy(model))

    def thaw(self, model):
        """The model, whose parameters now want gradients."""
        for parameter in self.members(model):
            parameter.requires_grad = True
        return model

    def treat_course(self, course):
        course = course.changed(self.thaw)
        optimizer = course.optimizer
        rates = [group["lr"] for group in optimizer.param_groups if group["lr"] > 0]
        if not rates:
            raise ValueError(f"Unfreeze: optimizer: all learning rates of {type(optimizer).__name__} are 0")
        members = self.members(course.model)
        for group in optimizer.param_groups:
            if group["lr"] == 0 and any(p is q for p in group["params"] for q in members):
                group["lr"] = max(rates)
        missing = [p for p in members if not any(p is q for q in optimizer.parameters)]
        if missing:
            first = {name: value for name, value in optimizer.param_groups[0].items() if name != "params"}
            optimizer.add_param_group({**first, "lr": max(rates), "params": missing})
        return course

    def __str__(self):
        return f"let {listed(self.layers)} learn"


def put_behind(model, name, module):
    """The model with a module through which its output goes afterwards."""
    if isinstance(model, Sequential) and name not in held(model):
        model.add_module(name, module)
        return model
    return WithOutput(model, module)


@dataclass(eq=False)
class AppendLogSoftmax(ModelPrescription):
    """Log-probabilities in place of logits, in front of a loss that expects them, such as `nll_loss`."""

    corrects_loss = True

    def change(self, model):
        return put_behind(model, "log_softmax", LogSoftmax(-1))

    def __str__(self):
        return "let the model end in a LogSoftmax"


class Negated:
    """Minus a loss."""

    def __init__(self, loss_fn):
        self.loss_fn = loss_fn

    def __call__(self, output, target):
        return -self.loss_fn(output, target)


@dataclass(eq=False)
class NegateLoss(Prescription):
    """The loss with the other sign."""

    corrects_loss = True

    def treat_course(self, course):
        return replace(course.copy(), loss_fn=Negated(course.loss_fn))

    def __str__(self):
        return "change the sign of the loss"


@dataclass(eq=False)
class ChangeLoss(Prescription):
    """Another loss.

    Attributes
    ----------
    loss_fn : callable
    """

    loss_fn: Any
    corrects_loss = True

    def treat_course(self, course):
        return replace(course.copy(), loss_fn=self.loss_fn)

    def __str__(self):
        return f"take {getattr(self.loss_fn, '__name__', self.loss_fn)} for the loss"


class InUnits:
    """A loss of outputs and targets that are measured from `mean` in units of `std`."""

    def __init__(self, loss_fn, mean, std):
        self.loss_fn, self.mean, self.std = loss_fn, mean, std

    def __call__(self, output, target):
        return self.loss_fn((output - self.mean) / self.std, (as_tensor(target) - self.mean) / self.std)


@dataclass(eq=False)
class ScaleTargets(Prescription):
    """Train on targets of mean 0 and deviation 1; the model still answers in their own units.

    Attributes
    ----------
    mean, std : float
        Of the targets.
    """

    mean: float
    std: float
    corrects_loss = True

    def __post_init__(self):
        above_zero("ScaleTargets", "std", self.std)

    @classmethod
    def from_batches(cls, batches):
        """With what is found in some batches ``(*inputs, target)``."""
        target = np.concatenate([np.ravel(as_tensor(batch[-1]).array) for batch in batches]).astype(np.float64)
        return cls(float(target.mean()), float(target.std()))

    def treat_course(self, course):
        course = course.changed(self.change)
        return replace(course, loss_fn=InUnits(course.loss_fn, self.mean, self.std))

    def change(self, model):
        """The model with its answers in the targets' units."""
        return put_behind(model, "rescale", Rescale(self.mean, self.std))

    def __str__(self):
        return f"train on (targets - {self.mean:.3g}) / {self.std:.3g}"
