"""Prescriptions that give a network another structure: norms and shortcuts."""

from dataclasses import dataclass

import numpy as np

from minidl.diagnose.prescriptions.base import ModelPrescription, held, join, listed, rearrange, sequentials
from minidl.engine import as_tensor, no_grad
from minidl.nn import (
    BatchNorm1d,
    BatchNorm2d,
    Conv1d,
    Conv2d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    LayerNorm,
    Linear,
    Residual,
    RMSNorm,
)
from minidl.train.kept import kept

NORMS = (BatchNorm1d, BatchNorm2d, LayerNorm, GroupNorm, RMSNorm, InstanceNorm1d, InstanceNorm2d)
LAYERS = (Linear, Conv1d, Conv2d)


@dataclass(eq=False)
class InsertNorm(ModelPrescription):
    """A normalisation behind linear layers (LayerNorm) and convolutions (BatchNorm) that stand in a Sequential.

    Attributes
    ----------
    layers : tuple of str
        Paths; empty for all but the last of the model.
    """

    layers: tuple = ()

    def places(self, model):
        """The layers behind which it would put one."""
        weighted = [path for path, module in model.named_modules() if isinstance(module, LAYERS)]
        found = []
        for path, sequential in sequentials(model):
            modules = list(held(sequential).items())
            for i, (name, module) in enumerate(modules):
                here = join(path, name)
                meant = here in self.layers if self.layers else here != weighted[-1]
                follower = modules[i + 1][1] if i + 1 < len(modules) else None
                if isinstance(module, LAYERS) and meant and not isinstance(follower, NORMS):
                    found.append(here)
        return found

    def change(self, model):
        places = self.places(model)
        if not places:
            raise ValueError(
                f"InsertNorm: {type(model).__name__}: {listed(self.layers)}: no linear layer or convolution in a "
                "Sequential without a norm behind it"
            )
        for path, sequential in sequentials(model):
            modules = {}
            for name, module in held(sequential).items():
                modules[name] = module
                if join(path, name) in places:
                    modules[f"{name}_norm"] = norm_for(module)
            if len(modules) > len(sequential):
                rearrange(sequential, modules)
        return model

    def __str__(self):
        return f"insert a normalisation behind {listed(self.layers)}"


def norm_for(layer):
    """The usual normalisation of what a layer gives."""
    if isinstance(layer, Linear):
        return LayerNorm(layer.out_features, dtype=layer.weight.dtype)
    return (BatchNorm2d if isinstance(layer, Conv2d) else BatchNorm1d)(layer.out_channels, dtype=layer.weight.dtype)


@dataclass(eq=False)
class AddResidual(ModelPrescription):
    """Shortcuts around pairs of layers that keep the shape, in a Sequential; their scale is learned and starts at 0."""

    def places(self, model):
        """For each Sequential that has some: the names of the first and the last layer of every pair."""
        found = {}
        for path, sequential in sequentials(model):
            pairs: list[tuple[str, str]] = []
            waiting = None  # a first layer without a second one: its name and its size
            for name, module in held(sequential).items():
                size = kept_size(module)
                if size is not None and waiting is not None and waiting[1] == size:
                    pairs.append((waiting[0], name))
                    waiting = None
                elif size is not None:
                    waiting = name, size
                elif waiting is not None and not passes(module):
                    waiting = None
            if pairs and not path.endswith("body"):
                found[path] = pairs
        return found

    def change(self, model):
        places = self.places(model)
        if not places:
            raise ValueError(
                f"AddResidual: {type(model).__name__} has no Sequential with two layers after one another that keep "
                "the shape"
            )
        for path, pairs in places.items():
            sequential = model.get_submodule(path)
            modules, body, last = {}, [], None
            ends = dict(pairs)
            for name, module in held(sequential).items():
                if name in ends:
                    first, last = name, ends[name]
                if last is None:
                    modules[name] = module
                    continue
                body.append(module)
                if name == last:
                    modules[first] = Residual(*body)
                    body, last = [], None
            rearrange(sequential, modules)
        return model

    def __str__(self):
        return "put residual connections around pairs of layers, with a scale that is learned and starts at 0"


def kept_size(module):
    """Kind and size of a layer whose results have the shape of its input; None for all others."""
    if isinstance(module, Linear) and module.in_features == module.out_features:
        return Linear, module.in_features
    if isinstance(module, (Conv1d, Conv2d)) and module.in_channels == module.out_channels:
        shape = (1, module.in_channels, *[16] * (1 + isinstance(module, Conv2d)))
        return (type(module), module.in_channels) if keeps(module, shape, module.weight.dtype) else None
    return None


def passes(module):
    """Whether a layer may stand inside of a shortcut: a norm, or what has no parameters and keeps the shape."""
    return (isinstance(module, NORMS) or next(module.parameters(), None) is None) and keeps(module, (2, 4))


def keeps(module, shape, dtype=np.float32):
    """Whether a module gives this shape for this shape. It is tried out, and a user's module may raise anything."""
    with kept(module, None), no_grad():
        try:
            return module(as_tensor(np.zeros(shape, dtype))).shape == shape
        except Exception:
            return False


@dataclass(eq=False)
class ScaleResidual(ModelPrescription):
    """Residual branches times 1 / blocks."""

    def change(self, model):
        blocks = [module for module in model.modules() if isinstance(module, Residual)]
        if not blocks:
            raise ValueError(f"ScaleResidual: {type(model).__name__} has no Residual")
        for block in blocks:
            del block.scale
            block.scale = 1 / len(blocks)
        return model

    def __str__(self):
        return "scale the residual branches by 1 / blocks"
