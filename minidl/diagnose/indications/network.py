"""What is prescribed for networks in which signals do not get through."""

import numpy as np

from minidl.diagnose.indications.common import clip, example, has, memory_of, recurrent_among, structural, unscaled
from minidl.diagnose.prescriptions import (
    ChangeActivation,
    ClipThroughTime,
    ForgetBias,
    LearningRate,
    LongMemory,
    Reinitialise,
    ResetBiases,
    ResetRecurrent,
    ScaleResidual,
    Together,
)
from minidl.nn import LSTM, LeakyReLU, ReLU, Residual, Sigmoid, Tanh

LARGE_BIAS = 2.0  # root mean square; biases begin at 0 or 1
USUAL = (0.4, 4.0)  # gains of weights: 1.4 with He's values


def flow(verdict, evidence):
    """Vanishing and exploding gradients, over time or over layers."""
    if verdict.time is not None:
        return over_time(verdict, evidence)
    fresh = Reinitialise((), example(evidence))
    sigmoid = has(evidence.model, Sigmoid)
    if verdict.disease == "vanishing":
        change = [Together(ChangeActivation(Sigmoid, Tanh), fresh)] if sigmoid else []
        return [*change, fresh, *structural(evidence)]
    scale = [ScaleResidual()] if has(evidence.model, Residual) else []
    return [*unscaled(evidence), *scale, fresh, *structural(evidence), *clip(evidence)]


def over_time(verdict, evidence):
    """The same, in recurrent layers."""
    layers = recurrent_among(verdict.layers, evidence)
    reset = ResetRecurrent(layers)
    if verdict.disease == "vanishing":
        shut = forgetful(layers, evidence)
        opened = [ForgetBias(1.0, shut)] if shut else []
        return [*opened, reset, LongMemory(memory_of(evidence), layers)]
    bound = verdict.evidence.get("last") or 1.0
    bounded = ClipThroughTime(bound, layers)
    return [reset, Together(reset, bounded), bounded, *clip(evidence), LearningRate(0.1)]


def forgetful(layers, evidence):
    """The LSTMs whose forget gates begin more shut than open."""
    found = []
    for path in layers:
        layer = evidence.model.get_submodule(path)
        if isinstance(layer, LSTM) and layer.bias:
            biases = [p.array for name, p in layer.named_parameters(recurse=False) if name.startswith("bias")]
            if np.sum([np.mean(b[layer.hidden_size : 2 * layer.hidden_size]) for b in biases]) < 0:
                found.append(path)
    return tuple(found)


def units(verdict, evidence):
    """Dead or saturated units."""
    layers = feeding(verdict.layers, evidence)
    recurrent = recurrent_among(layers, evidence)
    fresh = Reinitialise(layers, example(evidence))
    remedies = unscaled(evidence)
    biased = tuple(path for path in layers if bias_of(evidence.model, path) > LARGE_BIAS)
    if biased:
        remedies.append(ResetBiases(biased))
    if recurrent:
        return [*remedies, ResetRecurrent(recurrent), LongMemory(memory_of(evidence), recurrent)]
    remedies.append(fresh)
    if verdict.disease == "dead units" and has(evidence.model, ReLU):
        remedies.append(Together(ChangeActivation(ReLU, LeakyReLU), fresh))
    return [*remedies, *structural(evidence)[:1]]


def feeding(layers, evidence):
    """For activations, the layers with weights in front of them; for layers with weights, these."""
    found = []
    known = dict(evidence.model.named_modules())
    for path in layers:
        last = path
        for layer in evidence.layers:
            if layer.role in ("weights", "recurrent") and layer.path in known:
                last = layer.path
            if layer.path == path:
                break
        found.append(last)
    return tuple(dict.fromkeys(found))


def bias_of(model, path):
    """Root mean square of the biases of a layer."""
    values = [
        p.array.ravel() for name, p in model.get_submodule(path).named_parameters(recurse=False) if "bias" in name
    ]
    return float(np.sqrt(np.mean(np.square(np.concatenate(values))))) if values else 0.0


def scale(verdict, evidence):
    """Initial values of the wrong size."""
    named = set(verdict.layers).union(p.path for p in evidence.parameters if doubtful(p))
    layers = tuple(path for path, _ in evidence.model.named_modules() if path in named)
    remedies = [Reinitialise(layers, example(evidence)), Reinitialise((), example(evidence))]
    return [*remedies, *structural(evidence)[:1]]


def doubtful(p):
    """Whether weights are of an unusual size, though perhaps not so much that they alone would do harm."""
    gain = p.std * np.sqrt(np.prod(p.shape[1:]))
    return len(p.shape) > 1 and not USUAL[0] < gain < USUAL[1]
