"""Which prescriptions fit a verdict, the best first.

====================== ================================================================================================
disease                why in this order
====================== ================================================================================================
vanishing, exploding   Over layers: residual branches that add up are scaled, as that is the cause. Saturating sigmoids
                       lose three quarters of a gradient at every layer, whatever the weights: they are changed, and
                       values drawn to fit. Otherwise initial values are the cause as a rule and cost nothing; a norm
                       works whatever the cause, but makes another model; shortcuts likewise. Over time: orthogonal
                       recurrences, then gates that keep; for exploding a clip, which treats the symptom.
dead units,            Biases far from 0 are set back, which keeps what the weights know; then weights are drawn anew;
saturation             then comes an activation or a norm that cannot die. If it is the input that is too large, that
                       is put right first.
initialisation scale   The layers named; all of them; a norm.
learning rate ...      The rate at which updates are a hundredth of the weights in the first steps, as in networks that
                       learn; then further in the same direction.
non-finite             Spoiled weights are drawn anew, spoiled data is replaced; inputs far too large are normalised
                       before anything else is done to a layer that overflows; then what goes into that layer gets
                       bounds. A rate that is too high comes last.
no signal ...          Inputs are normalised. If they are constant, nobody can help but who reads the file.
label or loss mismatch Loss and last layer are made to fit. Shuffled labels are for those who have the right ones.
masked-out sequences   True lengths, or none.
frozen layer           What is frozen learns; where the graph is cut, the gradient goes round.
====================== ================================================================================================
"""

from dataclasses import replace

import numpy as np

from minidl.diagnose.evidence import RECURRENT
from minidl.diagnose.prescriptions import (
    AddResidual,
    Advice,
    AppendLogSoftmax,
    ChangeActivation,
    ClampInput,
    Clip,
    ClipThroughTime,
    IgnoreLengths,
    InferLengths,
    InsertNorm,
    LearningRate,
    LongMemory,
    NegateLoss,
    NormaliseInputs,
    Reattach,
    Reinitialise,
    RemoveLayer,
    ReplaceNonFinite,
    ResetBiases,
    ResetRecurrent,
    ScaleResidual,
    ScaleTargets,
    Together,
    Unfreeze,
    WarmUp,
)
from minidl.nn import LeakyReLU, ReLU, Residual, Sigmoid, Softmax, Tanh

UPDATE = 0.01  # of the weights, in the first steps: healthy networks have 0.002 to 0.06
SMALLER = 5.0  # times, for the second try of a learning rate
LARGE_BIAS = 2.0  # root mean square; biases begin at 0 or 1
UNSCALED = 8.0  # deviations, or a mean, of inputs that are meant to be about 1
USUAL = (0.4, 4.0)  # gains of weights: 1.4 with He's values
LEAST = 1e-2  # what a logarithm or a division gets at least: its slope is then at most 100
GREATEST = 10.0  # what exp gets at most


def prescribe(verdict, evidence):
    """Prescriptions for a verdict, the best first.

    Parameters
    ----------
    verdict : Verdict
    evidence : Evidence
        What the verdict was made from; without a model or batches, there are only those that need none.

    Returns
    -------
    list of Prescription
    """
    if evidence.model is None:
        return []
    known = dict(evidence.model.named_modules())  # what happens in a model's own `forward` is in none of its layers
    verdict = replace(verdict, layers=[path for path in verdict.layers if path in known])
    return TABLE[verdict.disease](verdict, evidence)


def example(evidence):
    """The inputs of the first batch."""
    return evidence.batches[0][:-1] if evidence.batches else ()


def recurrent_among(layers, evidence):
    """Those of the layers that are recurrent."""
    modules = dict(evidence.model.named_modules())
    return tuple(path for path in layers if isinstance(modules.get(path), RECURRENT))


def has(model, kind):
    """Whether a model has a module of a class."""
    return any(isinstance(module, kind) for module in model.modules())


def structural(evidence):
    """Changes of structure that are possible with this model."""
    return [remedy for remedy in (InsertNorm(), AddResidual()) if remedy.places(evidence.model)]


def unscaled(evidence):
    """What puts inputs right that are far from mean 0 and deviation 1."""
    found = []
    for i, x in enumerate(evidence.inputs):
        far = x.std > UNSCALED or abs(x.mean) > max(UNSCALED * x.std, 1) or 0 < x.std < 1 / 50
        if evidence.batches and not x.integer and x.constant < 1 and (far or x.spread > 100):
            found.append(NormaliseInputs.from_batches(evidence.batches, i))
    return found


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
        return [reset, LongMemory(memory_of(evidence), layers)]
    bound = verdict.evidence.get("last") or 1.0
    bounded = ClipThroughTime(bound, layers)
    return [reset, Together(reset, bounded), bounded, *clip(evidence), LearningRate(0.1)]


def memory_of(evidence):
    """Time steps of the sequences."""
    return max((len(norms) for norms in evidence.times.values()), default=10)


def clip(evidence):
    """A clip at the median of the norms that were measured, or at 1 if that is larger."""
    rows = [p.rows["gradient"] for p in evidence.parameters if p.rows is not None and len(p.rows)]
    if not rows:
        return []
    norms = np.sqrt(np.nansum(np.square(rows), 0))
    norms = norms[np.isfinite(norms) & (norms > 0)]
    return [Clip(float(min(np.median(norms), 1.0)))] if norms.size else []


def units(verdict, evidence):
    """Dead or saturated units."""
    layers = feeding(verdict.layers, evidence)
    recurrent = recurrent_among(layers, evidence)
    fresh = Reinitialise(layers, example(evidence))
    remedies = unscaled(evidence)
    if recurrent:
        return [*remedies, ResetRecurrent(recurrent), LongMemory(memory_of(evidence), recurrent)]
    biased = tuple(path for path in layers if bias_of(evidence.model, path) > LARGE_BIAS)
    if biased:
        remedies.append(ResetBiases(biased))
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


def rate(verdict, evidence):
    """Learning rates that are too high or too low."""
    if bottomless(evidence):  # no rate makes such a loss settle
        return mismatch(verdict, evidence)
    high = verdict.disease == "learning rate too high"
    ratio = update_ratio(evidence)
    factor = UPDATE / ratio if ratio else 0.03 if high else 100.0
    factor = float(np.clip(factor, *((1e-6, 0.3) if high else (3.0, 1e6))))
    further = factor / SMALLER if high else factor * SMALLER
    remedies = [LearningRate(factor), LearningRate(further)]
    return [*unscaled(evidence), *remedies, WarmUp(100), *clip(evidence)] if high else remedies


def update_ratio(evidence):
    """Update by weight, typical of the matrices; None if it was not measured."""
    ratios = []
    for p in evidence.parameters:
        if len(p.shape) > 1 and p.rows is not None and len(p.rows):
            with np.errstate(all="ignore"):
                ratios.append(np.nanmedian(p.rows["update"] / p.rows["weight"]))
    ratios = [r for r in ratios if np.isfinite(r) and r > 0]
    return float(np.exp(np.mean(np.log(ratios)))) if ratios else None


def nonfinite(verdict, evidence):
    """NaN and Inf in the weights, in the data, or made by a layer."""
    spoiled = tuple(dict.fromkeys(p.path for p in evidence.parameters if not p.finite))
    if spoiled:
        return [Reinitialise(spoiled, example(evidence)), Reinitialise((), example(evidence))]
    bad = [i for i, x in enumerate(evidence.inputs) if x.nonfinite]
    if bad and evidence.batches:
        return [
            ReplaceNonFinite.from_batches(evidence.batches, bad[0]),
            Advice("leave out the rows that hold NaN or Inf"),
        ]
    finding = getattr(evidence.failure, "finding", None)
    remedies = unscaled(evidence)
    modules = dict(evidence.model.named_modules())
    if finding is not None and finding.layer in modules:
        remedies += bounds(finding.layer, finding.operation)
    return [*remedies, LearningRate(0.01), Reinitialise((), example(evidence))]


def bounds(path, operation):
    """What keeps the input of a layer where its operation is defined."""
    if operation in ("exp", "expm1", "cosh", "sinh"):
        return [ClampInput(path, high=GREATEST)]
    if operation in ("log", "log1p", "rsqrt"):
        return [ClampInput(path, low=LEAST), ClampInput(path, from_zero=LEAST)]
    return [ClampInput(path, from_zero=LEAST), ClampInput(path, low=LEAST)]


def inputs(verdict, evidence):
    """Inputs that say nothing, or nothing that the model could hear."""
    if any(x.constant >= 1 for x in evidence.inputs if not x.integer):
        return [Advice("the input is the same in every sample: look at how the data is read")]
    if not evidence.batches:
        return []
    found = [
        NormaliseInputs.from_batches(evidence.batches, i)
        for i, x in enumerate(evidence.inputs)
        if not x.integer and not x.nonfinite
    ]
    return [*found, *structural(evidence)[:1]]


def mismatch(verdict, evidence):
    """Losses, last layers and targets that do not fit."""
    target, output = evidence.target, evidence.output
    if bottomless(evidence):
        order = [AppendLogSoftmax(), NegateLoss()]
        return order if likely_nll(output, target, evidence.losses[0]) else order[::-1]
    modules = dict(evidence.model.named_modules())
    soft = [path for path in verdict.layers if isinstance(modules.get(path), Softmax)]
    soft = soft or [path for path, module in modules.items() if isinstance(module, Softmax)][-1:]
    if verdict.layers and soft:
        return [RemoveLayer(soft[-1])]
    if "z" not in verdict.evidence and target.dtype.kind == "f" and evidence.batches:
        return [ScaleTargets.from_batches(evidence.batches), *clip(evidence)]
    advice = Advice("the targets do not belong to these inputs, as far as can be seen: check how they are paired")
    return [advice, *sequence_remedies(evidence)]


def bottomless(evidence):
    """Whether a loss for labels falls below 0, so that it has no lowest value."""
    losses = np.concatenate([evidence.losses, *evidence.trials.values()])
    return evidence.target is not None and evidence.target.dtype.kind in "iu" and losses.min(initial=0) < 0


def sequence_remedies(evidence):
    """Recurrent layers may not hear the labels, because they forget."""
    return [LongMemory(memory_of(evidence))] if evidence.times else []


def likely_nll(output, target, loss):
    """Whether the loss is the negative output at the target: `nll_loss` of what are no log-probabilities."""
    if output is None or output.ndim != 2 or (output <= 0).all() and has_log_softmax(output):
        return False
    target = target[: len(output)]
    return bool(
        target.ndim == 1 and np.isclose(loss, -output[np.arange(len(output)), target].mean(), rtol=1e-2, atol=1e-4)
    )


def has_log_softmax(output):
    """Whether outputs are log-probabilities already."""
    return np.allclose(np.exp(output).sum(-1), 1, atol=1e-3)


def masked(verdict, evidence):
    """Sequences that are cut, or padded."""
    target = evidence.target
    if target is not None and target.dtype.kind in "iu" and (target == -100).any():
        return [Advice("the targets that count are masked (-100): unmask those that are to be learned")]
    if evidence.lengths is not None:
        return [IgnoreLengths()]
    x = np.asarray(evidence.batches[0][0]) if evidence.batches else np.zeros(0)
    if x.ndim != 3 or verdict.time is None:
        return [Advice("tell the model where each sequence ends")]
    time = 1 if len(x) == len(evidence.batches[0][-1]) else 0
    padding = float(x[0, -1, 0] if time else x[-1, 0, 0])
    return [InferLengths(verdict.time, padding, time)]


def frozen(verdict, evidence):
    """Layers that do not learn."""
    figures = [p for p in evidence.parameters if p.path in verdict.layers]
    thawing = Unfreeze(tuple(verdict.layers))
    stuck = [p for p in figures if not p.trains or p.lr in (None, 0)]
    if stuck or not evidence.batches:
        return [thawing, Together(thawing, WarmUp(100))]
    advice = Advice(
        "the gradient is cut off between these layers and the loss: look for detach, no_grad or a comparison"
    )
    return [Reattach(example(evidence)), advice]


TABLE = {
    "vanishing": flow,
    "exploding": flow,
    "dead units": units,
    "saturation": units,
    "initialisation scale": scale,
    "learning rate too high": rate,
    "learning rate too low": rate,
    "non-finite": nonfinite,
    "no signal from the data": inputs,
    "label or loss mismatch": mismatch,
    "masked-out sequences": masked,
    "frozen layer": frozen,
}
