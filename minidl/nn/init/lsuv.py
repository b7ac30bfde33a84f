"""Layer-sequential unit-variance initial values."""

import contextlib
import functools

import numpy as np

from minidl import functional as F
from minidl.engine import as_tensor, no_grad, outside_recordings
from minidl.nn.init.basic import zeros_
from minidl.nn.init.structured import orthogonal_
from minidl.tensor import Parameter

TOLERANCE, TRIES = 0.01, 10


def lsuv_(model, batch):
    """Orthogonal weights, scaled such that each layer's outputs for `batch` have standard deviation 1.

    One forward pass, in the mode that the model is in. The layers are the modules with a parameter `weight` of 2 or
    more dimensions, whatever `forward` calls them: each is scaled when it is called for the first time, before anything
    behind it is computed. Its outputs are those in front of an activation; its bias becomes 0. Embeddings and recurrent
    layers stay as they are.

    Parameters
    ----------
    model : Module
    batch : Tensor or array, or tuple of them
        The model's input, or inputs: some dozen rows of real data or more.

    Returns
    -------
    `model`

    Raises
    ------
    ValueError
        If no weights bring a layer's outputs within 0.01 of 1: if they are all the same, or not finite.

    References
    ----------
    Mishkin and Matas, "All you need is a good init", 2016.
    """
    outside_recordings("lsuv_")
    scaled: set[Parameter] = set()
    with no_grad(), contextlib.ExitStack() as ends:
        for module in model.modules():
            weight = vars(module).get("weight")
            if isinstance(weight, Parameter) and weight.ndim >= 2:
                ends.callback(_intercept(module, scaled))
        model(*batch) if isinstance(batch, tuple) else model(batch)
    return model


def _intercept(layer, scaled):
    """Put a forward that scales in front of a layer's own; returns what takes it away again."""
    attributes, forward = vars(layer), layer.forward
    before = attributes.get("forward")
    attributes["forward"] = functools.partial(_scale_and_run, layer, forward, scaled)
    return lambda: attributes.pop("forward") if before is None else attributes.update(forward=before)


def _scale_and_run(layer, forward, scaled, *args, activation=None, **kwargs):
    """What a layer does while its weights are sought; without an activation of its own, to see what is in front."""
    run = functools.partial(forward, *args, **kwargs)
    if layer.weight not in scaled and all(as_tensor(x).dtype.kind == "f" for x in args[:1]):
        scaled.add(layer.weight)
        _scale(layer, run)
    output = run()
    return F.relu(output) if activation == "relu" else output


def _scale(layer, run):
    orthogonal_(layer.weight)
    if isinstance(vars(layer).get("bias"), Parameter):
        zeros_(layer.bias)
    for _ in range(TRIES):
        std = run().array.std(dtype=np.float64)
        if abs(std - 1) <= TOLERANCE:
            return
        if not 0 < std < np.inf:
            break
        layer.weight.array /= std
    where = ".".join(layer._path) or type(layer).__name__
    raise ValueError(f"lsuv_: {where}: outputs with standard deviation {std:g}, which no weights scale to 1")
