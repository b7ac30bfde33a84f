"""Prescriptions that change what a model gets."""

import inspect
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl.diagnose.inserts import Finite, FirstSteps, Standardise, WithInput, WithLengths, WithoutLengths
from minidl.diagnose.prescriptions.base import ModelPrescription, held, rearrange
from minidl.engine import as_tensor
from minidl.nn import Module, Sequential

SAME_UNIT = 10.0  # times that features may differ to be still of one unit, which is then kept


def put_in_front(model, name, module, index=0):
    """The model with a module through which one of its inputs goes first."""
    if isinstance(model, Sequential) and index == 0 and name not in held(model):
        rearrange(model, {name: module, **held(model)})
        return model
    return WithInput(model, index, module)


@dataclass(eq=False)
class NormaliseInputs(ModelPrescription):
    """A module in front that gives an input mean 0 and deviation 1; features that are constant become 0.

    Attributes
    ----------
    mean, std : ndarray
        They broadcast to a sample: numbers, one per feature, or one per channel.
    index : int
        Which input.
    """

    mean: Any = field(repr=False)
    std: Any = field(repr=False)
    index: int = 0

    @classmethod
    def from_batches(cls, batches, index=0):
        """With what is found in some batches ``(*inputs, target)``.

        Features are columns, the last dimension of sequences, and channels of images. Those of about the same range
        are taken for one: pixels keep their contrasts.
        """
        arrays = [as_tensor(batch[index]).array for batch in batches]
        images = arrays[0].ndim == 4
        rows = [np.moveaxis(a, 1, -1) if images else a for a in arrays]
        x = np.concatenate([a.reshape(-1, a.shape[-1] if a.ndim > 1 else 1) for a in rows]).astype(np.float64)
        x[~np.isfinite(x)] = np.nan
        with np.errstate(all="ignore"):
            means, stds = np.nanmean(x, 0), np.nanstd(x, 0)
            varying = np.sort(stds[stds > 1e-6 * abs(means)])
            if not varying.size:
                raise ValueError(f"NormaliseInputs: input {index} is constant")
            middle, within = varying[(len(varying) - 1) // 2], np.sqrt(np.mean(stds**2))
            mean, std = np.nanmean(x), np.nanstd(x)
            if varying[-1] <= SAME_UNIT * middle and abs(means - mean).max() <= SAME_UNIT * within:
                return cls(mean, std, index)
        stds = np.where(stds > 1e-6 * abs(means), np.maximum(stds, 1e-3 * middle), np.inf)
        shape = (-1, 1, 1) if images else (-1,)
        return cls(means.reshape(shape), stds.reshape(shape), index)

    def change(self, model):
        return put_in_front(model, "standardise", Standardise(self.mean, 1 / np.asarray(self.std)), self.index)

    def __str__(self):
        each = "each feature" if np.ndim(self.mean) else f"(x - {float(self.mean):.3g}) / {float(self.std):.3g}"
        return f"normalise input {self.index}: {each}"


@dataclass(eq=False)
class ReplaceNonFinite(ModelPrescription):
    """A module in front that puts a number in place of every NaN and Inf of an input.

    Attributes
    ----------
    fill : float
        Such as the mean.
    index : int
        Which input.
    """

    fill: float = 0.0
    index: int = 0

    @classmethod
    def from_batches(cls, batches, index=0):
        """With the mean of what is finite in some batches ``(*inputs, target)``."""
        x = np.concatenate([np.ravel(as_tensor(batch[index]).array) for batch in batches]).astype(np.float64)
        x = x[np.isfinite(x)]
        return cls(float(x.mean()) if x.size else 0.0, index)

    def change(self, model):
        return put_in_front(model, "finite", Finite(self.fill), self.index)

    def __str__(self):
        return f"replace NaN and Inf in input {self.index} by {self.fill:.3g}"


def takes_lengths(model: Module):
    """Whether it can be called with ``lengths=``."""
    return "lengths" in inspect.signature(type(model).forward).parameters


@dataclass(eq=False)
class InferLengths(ModelPrescription):
    """Tell the model where sequences end: at their last step that is not padding.

    A model whose `forward` has no `lengths` gets the first `steps` steps alone.

    Attributes
    ----------
    steps : int
        Up to which all that matters is.
    padding : float
    time : int
        The dimension of time steps in the input: 1, or 0.
    """

    steps: int
    padding: float = 0.0
    time: int = 1

    def change(self, model):
        if takes_lengths(model):
            return WithLengths(model, self.padding, self.time)
        return put_in_front(model, "first_steps", FirstSteps(self.steps, self.time))

    def __str__(self):
        return f"tell the model the lengths of its sequences, or cut them after step {self.steps}"


@dataclass(eq=False)
class IgnoreLengths(ModelPrescription):
    """Do not tell the model the lengths that come as its second input."""

    def change(self, model):
        if not takes_lengths(model):
            raise ValueError(f"IgnoreLengths: {type(model).__name__}: forward has no `lengths`")
        return WithoutLengths(model)

    def __str__(self):
        return "do not tell the model these lengths"
