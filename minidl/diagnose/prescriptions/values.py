"""Prescriptions that give parameters other values."""

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl.diagnose.prescriptions.base import ModelPrescription, listed
from minidl.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell, init
from minidl.nn.utils.parametrize import is_parametrized

RECURRENT = (RNN, LSTM, GRU, RNNCell, LSTMCell, GRUCell)


@dataclass(eq=False)
class Reinitialise(ModelPrescription):
    """New initial values that fit the activations which follow: see `nn.init.match_`.

    Linear layers and convolutions get what `match_` gives them; all others draw theirs with `reset_parameters`.
    Those with a parametrization, whose weights are computed, keep what they have.

    Attributes
    ----------
    layers : tuple of str
        Paths; empty for all.
    example : tuple of arrays
        Inputs, to find out what follows each layer; their values do not matter.
    """

    layers: tuple = ()
    example: Any = field(default=(), repr=False)

    def change(self, model):
        fresh = copy.deepcopy(model)
        for parameter in fresh.parameters():
            parameter.requires_grad = True
        paths = dict(fresh.named_modules())
        unknown = [path for path in self.layers if path not in paths]
        if unknown:
            raise ValueError(f"Reinitialise: layers: {type(model).__name__} has no layer {', '.join(unknown)}")
        for path, module in paths.items():
            if hasattr(module, "reset_parameters") and self.chosen(path) and not is_parametrized(module):
                module.reset_parameters()
        if self.example and any(p.ndim > 1 for p in fresh.parameters()):
            with np.errstate(all="ignore"):
                fitted(fresh, self.example)
        for (name, old), new in zip(model.named_parameters(), fresh.parameters(), strict=True):
            if self.chosen(name.rpartition(".")[0]):
                old.array[...] = new.array
        return model

    def chosen(self, path):
        """Whether a layer is among those that are meant, or in one of them."""
        return not self.layers or any(path == layer or path.startswith(f"{layer}.") for layer in self.layers)

    def __str__(self):
        behind = "it" if len(self.layers) == 1 else "them"
        return f"re-initialise {listed(self.layers)} to fit the activations behind {behind}"


def fitted(model, example):
    """`match_`, where there is a layer for it."""
    try:
        init.match_(model, tuple(example))
    except ValueError as error:
        if "match_" not in str(error):
            raise


@dataclass(eq=False)
class ResetBiases(ModelPrescription):
    """Biases 0, of an LSTM's forget gate 1.

    Attributes
    ----------
    layers : tuple of str
        Paths; empty for all.
    """

    layers: tuple = ()

    def change(self, model):
        changed = False
        for path, module in model.named_modules():
            for name, parameter in module.named_parameters(recurse=False):
                if "bias" in name and (not self.layers or path in self.layers):
                    init.zeros_(parameter)
                    changed = True
            if isinstance(module, (LSTM, LSTMCell)) and (not self.layers or path in self.layers):
                set_forget(module, 1.0)
        if not changed:
            raise ValueError(f"ResetBiases: layers: {listed(self.layers)} of {type(model).__name__} have no bias")
        return model

    def __str__(self):
        return f"set the biases of {listed(self.layers)} to 0"


def recurrent(prescription, model, layers, kinds=RECURRENT):
    """The recurrent layers that are meant; ValueError if there are none."""
    found = [m for path, m in model.named_modules() if isinstance(m, kinds) and (not layers or path in layers)]
    if not found:
        names = ", ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"{prescription}: {type(model).__name__}: {listed(layers)}: no {names} among them")
    return found


def set_forget(layer, value):
    """The bias of the forget gate of an LSTM, as the sum of both biases."""
    H = layer.hidden_size
    for name, parameter in layer.named_parameters(recurse=False):
        if name.startswith("bias"):
            parameter.array[H : 2 * H] = value if name.startswith("bias_ih") else 0


@dataclass(eq=False)
class ResetRecurrent(ModelPrescription):
    """New initial values for recurrent layers: orthogonal recurrences, Xavier's inputs, the forget gate open.

    Attributes
    ----------
    layers : tuple of str
        Paths; empty for all recurrent layers.
    """

    layers: tuple = ()

    def change(self, model):
        for layer in recurrent("ResetRecurrent", model, self.layers):
            layer.reset_parameters()
        return model

    def __str__(self):
        which = ", ".join(self.layers) or "the recurrent layers"
        return f"re-initialise {which}: orthogonal recurrences, open forget gates"


@dataclass(eq=False)
class ForgetBias(ModelPrescription):
    """Another bias for the forget gates of LSTMs.

    Attributes
    ----------
    value : float
        The higher, the longer is the memory: about 1 + e^value steps.
    layers : tuple of str
        Paths; empty for all LSTMs.
    """

    value: float = 1.0
    layers: tuple = ()

    def change(self, model):
        for layer in recurrent("ForgetBias", model, self.layers, (LSTM, LSTMCell)):
            if not layer.bias:
                raise ValueError("ForgetBias: the LSTM has no biases")
            set_forget(layer, self.value)
        return model

    def __str__(self):
        return f"set the forget gate's bias of {', '.join(self.layers) or 'all LSTMs'} to {self.value:g}"


@dataclass(eq=False)
class LongMemory(ModelPrescription):
    """Recurrent layers that begin by keeping what they have seen.

    Gates get biases for memories of up to `steps` steps (`nn.init.chrono_`), ReLU networks the identity (`irnn_`), and
    those with tanh orthogonal recurrences and small inputs.

    Attributes
    ----------
    steps : int
        Of the longest dependency.
    layers : tuple of str
        Paths; empty for all recurrent layers.
    """

    steps: int
    layers: tuple = ()

    def change(self, model):
        for layer in recurrent("LongMemory", model, self.layers):
            layer.reset_parameters()
            if getattr(layer, "nonlinearity", None) == "relu":
                init.irnn_(layer)
            elif isinstance(layer, (LSTM, LSTMCell, GRU, GRUCell)) and layer.bias:
                init.chrono_(layer, max(self.steps, 3))
        return model

    def __str__(self):
        return f"let {', '.join(self.layers) or 'the recurrent layers'} begin with a memory of up to {self.steps} steps"
