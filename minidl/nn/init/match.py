"""Initial values that fit the activations of a model."""

import heapq
import math
from collections import defaultdict

import numpy as np

from minidl.engine import Tensor, as_tensor, enable_grad, outside_recordings
from minidl.functional.activation import Activation, PReLU, ReLU
from minidl.functional.convolution import Conv, ConvTranspose
from minidl.functional.elementary import Erf
from minidl.functional.linear import Linear, MatMul
from minidl.functional.recurrent import Recurrence
from minidl.functional.shape import Reshape
from minidl.nn.init.basic import normal_
from minidl.nn.init.mean_field import critical, second_moment, slope_moment

LAYERS = (Linear, Conv, ConvTranspose)
GROWTH = 1.1  # of the gradients' variance per layer; with more, deep networks start at the edge of chaos instead
BIAS_VAR = 0.05  # there


def match_(model, example):
    """Give every layer weights of the scale that the activation behind it calls for.

    One forward pass of `example` shows what follows each linear layer and convolution, through reshapes, norms,
    pooling, dropout and sums. Weights become N(0, gain^2 / fan_in), with the gain that keeps the variance of signals:
    1 / sqrt(E[f(x)^2]) for x of N(0, 1), which is He's sqrt(2) for relu, LeCun's 1 for selu and where no activation
    follows, 1.53 for gelu; and biases 0. For activations that saturate on both sides (tanh, erf, softsign) the
    gradients' variance would then grow by more than 10 % per layer, so they get the point that `critical` gives for
    biases of N(0, 0.05): a gain of 1.33 for tanh. Weights that need no gradient, embeddings and recurrent layers stay
    as they are.

    Parameters
    ----------
    model : Module
    example : Tensor or array, or tuple of them
        The model's input, or inputs; the values do not matter.

    Returns
    -------
    `model`

    Raises
    ------
    ValueError
        If no layer was found.

    References
    ----------
    LeCun et al., "Efficient backprop", 1998; He et al., "Delving deep into rectifiers", 2015; Klambauer et al.,
    "Self-normalizing neural networks", 2017; Schoenholz et al., "Deep information propagation", 2017.
    """
    outside_recordings("match_")
    readers = _readers(_run(model, example))
    found = {}  # weight -> the layer's node
    for weight in model.parameters():
        node = _layer(weight, readers)
        if node is not None and weight.requires_grad:
            found[weight] = node, _following(node, readers)
    if not found:
        raise ValueError(f"match_: {type(model).__name__}: found no linear layer or convolution that is trained")
    for weight, (node, activation) in found.items():
        if isinstance(activation, Recurrence):
            continue
        gain, bias_std = _gain(activation)
        normal_(weight, std=gain / math.sqrt(max(_fan_in(node, weight), 1)))
        for bias in node.inputs[2:]:
            if isinstance(bias, Tensor):
                normal_(bias, std=bias_std)
    return model


def _run(model, example):
    """The model's results for `example`, in eval mode: nothing but the graph is wanted."""
    modes = {module: module.training for module in model.modules()}
    try:
        with enable_grad():
            return model.eval()(*example) if isinstance(example, tuple) else model.eval()(example)
    finally:
        for module, mode in modes.items():
            module.training = mode


def _readers(results):
    """{node or leaf: nodes that read what it gives}, of all that `results` were computed from."""
    readers = defaultdict(list)
    ahead = [tensor.node for tensor in _tensors(results) if tensor.node is not None]
    seen = set(ahead)
    while ahead:
        node = ahead.pop()
        for x in node.inputs:
            source = x if isinstance(x, Tensor) else x.node
            readers[source].append(node)
            if source is not x and source not in seen:
                seen.add(source)
                ahead.append(source)
    return readers


def _tensors(results):
    """The tensors in what a model returned."""
    if isinstance(results, Tensor):
        return [results]
    values = results.values() if isinstance(results, dict) else results if isinstance(results, (list, tuple)) else ()
    return [tensor for value in values for tensor in _tensors(value)]


def _layer(weight, readers):
    """The first node that multiplies with `weight`, if it is a linear layer or a convolution."""
    source = weight
    while readers[source]:
        node = min(readers[source], key=lambda node: node.serial)
        if not isinstance(node, Reshape):  # a convolution over one dimension reshapes its weights
            weights = node.inputs[1:2] if isinstance(node, LAYERS) else ()
            return node if any((x if isinstance(x, Tensor) else x.node) is source for x in weights) else None
        source = node
    return None


def _following(layer, readers):
    """The first activation that is computed from what a layer gives, before any other layer; None if there is none."""
    if getattr(layer, "activation", None):
        return layer
    ahead = [(node.serial, node) for node in set(readers[layer])]
    heapq.heapify(ahead)
    seen = {node for _, node in ahead}
    while ahead:
        _, node = heapq.heappop(ahead)
        if isinstance(node, (Activation, PReLU, Erf, Recurrence)) or getattr(node, "relu", False):
            return node
        if isinstance(node, (*LAYERS, MatMul)):
            continue
        for reader in readers[node]:
            if reader not in seen:
                seen.add(reader)
                heapq.heappush(ahead, (reader.serial, reader))
    return None


def _gain(node):
    """Standard deviations of weights, times sqrt(fan_in), and of biases in front of a node."""
    if node is None:
        return 1.0, 0.0
    if isinstance(node, PReLU):
        return math.sqrt(2 / (1 + float(np.mean(node.w**2)))), 0.0
    if not isinstance(node, (Activation, Erf)):  # a ReLU that runs inside another node
        node = ReLU()

    def function(x):
        return node.again((as_tensor(x),))[0]

    gain = 1 / math.sqrt(second_moment(function, 1.0))
    if gain**2 * slope_moment(function, 1.0) > GROWTH:
        return math.sqrt(critical(function, math.sqrt(BIAS_VAR)).weight_var), math.sqrt(BIAS_VAR)
    return gain, 0.0


def _fan_in(node, weight):
    """Number of inputs that an output sums up, on average."""
    if isinstance(node, ConvTranspose):
        return node.outer * math.prod(node.kernel) / math.prod(node.stride)
    return math.prod(weight.shape[1:])
