"""Prescriptions that put one layer in the place of another, or around it."""

from dataclasses import dataclass
from typing import Any

from minidl.diagnose.inserts import AwayFromZero, Clamp, StraightThrough
from minidl.diagnose.prescriptions.base import ModelPrescription, held, parent_of
from minidl.engine import Tensor, as_tensor
from minidl.nn import Identity, Sequential


@dataclass(eq=False)
class ChangeActivation(ModelPrescription):
    """Another activation in place of all modules of a class.

    Attributes
    ----------
    old : type
    new : callable
        Makes a module.
    layers : tuple of str
        Paths; empty for all of that class.
    """

    old: Any
    new: Any
    layers: tuple = ()

    def change(self, model):
        found = {
            module
            for path, module in model.named_modules()
            if path and isinstance(module, self.old) and (not self.layers or path in self.layers)
        }
        if not found:
            raise ValueError(f"ChangeActivation: {type(model).__name__} has no {self.old.__name__}")
        for parent in list(model.modules()):  # one module may stand in several places
            for name, module in held(parent).items():
                if module in found:
                    setattr(parent, name, self.new())
        return model

    def __str__(self):
        where = f" in {', '.join(self.layers)}" if self.layers else ""
        return f"change the activation from {self.old.__name__} to {type(self.new()).__name__}{where}"


@dataclass(eq=False)
class RemoveLayer(ModelPrescription):
    """The identity in place of a layer, such as a softmax in front of a loss that has one.

    Attributes
    ----------
    path : str
    """

    path: str
    corrects_loss = True

    def change(self, model):
        parent, name = parent_of(model, self.path)
        model.get_submodule(self.path)
        setattr(parent, name, Identity())
        return model

    def __str__(self):
        return f"take out layer {self.path}"


@dataclass(eq=False)
class ClampInput(ModelPrescription):
    """Bounds for what goes into a layer, such as one that takes a logarithm.

    Attributes
    ----------
    path : str
    low, high : float or None
    from_zero : float or None
        If given, inputs are kept at least that far from 0, with their sign, and the bounds are not used.
    """

    path: str
    low: float | None = None
    high: float | None = None
    from_zero: float | None = None

    def change(self, model):
        layer = model.get_submodule(self.path)
        guard = Clamp(self.low, self.high) if self.from_zero is None else AwayFromZero(self.from_zero)
        if not self.path:
            return Sequential(guard, model)
        parent, name = parent_of(model, self.path)
        setattr(parent, name, Sequential(guard, layer))
        return model

    def __str__(self):
        bounds = [f"{word} {bound:g}" for word, bound in (("from", self.low), ("to", self.high)) if bound is not None]
        kept = " ".join(bounds) if self.from_zero is None else f"at least {self.from_zero:g} away from 0"
        return f"keep the input of layer {self.path} {kept}"


@dataclass(eq=False)
class Reattach(ModelPrescription):
    """Layers that let no gradient through get that of the identity.

    Looks for them in a model that is a Sequential, by calling its layers one after the other, as far as each takes and
    gives one tensor.

    Attributes
    ----------
    example : tuple of arrays
        Inputs of the model.
    """

    example: Any

    def change(self, model):
        cut = self.cutting(model) if isinstance(model, Sequential) else []
        if not cut:
            raise ValueError(f"Reattach: {type(model).__name__}: found no layer of a Sequential that stops gradients")
        for name in cut:
            setattr(model, name, StraightThrough(getattr(model, name)))
        return model

    def cutting(self, sequential):
        """Names of the layers that give a result without a gradient, of the same shape as an input with one."""
        found = []
        x = as_tensor(self.example[0])
        for name, layer in held(sequential).items():
            traced = Tensor.public(x.array.copy())
            traced.requires_grad = traced.dtype.kind == "f"
            y = layer(traced)
            if not isinstance(y, Tensor):
                break
            if traced.requires_grad and not y.requires_grad and y.shape == x.shape:
                found.append(name)
            x = y
        return found

    def __str__(self):
        return "let the gradient through where it is cut off, as the identity would"
