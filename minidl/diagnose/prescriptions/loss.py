"""Prescriptions that make outputs, targets and the loss fit one another."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minidl.diagnose.inserts import Log, Rescale, WithOutput
from minidl.diagnose.prescriptions.base import ModelPrescription, Prescription, held
from minidl.engine import as_tensor
from minidl.engine.checks import above_zero
from minidl.nn import LogSoftmax, Sequential


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


@dataclass(eq=False)
class TakeLog(ModelPrescription):
    """Logarithms of a model's probabilities, in front of a loss with a softmax of its own, which gives them back."""

    corrects_loss = True

    def change(self, model):
        return put_behind(model, "log", Log())

    def __str__(self):
        return "take the logarithm of the probabilities in front of a loss that has a softmax of its own"


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
