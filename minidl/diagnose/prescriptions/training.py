"""Prescriptions that change how a model is trained."""

import copy
from dataclasses import dataclass, replace

from minidl.diagnose.prescriptions.base import ModelPrescription, Prescription, listed
from minidl.diagnose.prescriptions.values import recurrent
from minidl.engine.checks import above_zero
from minidl.nn import GRU, LSTM, RNN


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
        return f"multiply the learning rate by {float(f'{self.factor:.2g}'):g}"  # 290, not 2.9e+02


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
            if group["lr"] == 0 and not set(members).isdisjoint(group["params"]):
                group["lr"] = max(rates)
        trained = set(optimizer.parameters)
        missing = [p for p in members if p not in trained]
        if missing:
            first = {name: value for name, value in optimizer.param_groups[0].items() if name != "params"}
            optimizer.add_param_group({**first, "lr": max(rates), "params": missing})
        return course

    def __str__(self):
        return f"let {listed(self.layers)} learn"
