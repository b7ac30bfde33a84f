"""What is prescribed for data and losses that do not fit."""

import numpy as np

from minidl.diagnose.indications.common import clip, memory_of, normalised, structural
from minidl.diagnose.prescriptions import (
    Advice,
    AppendLogSoftmax,
    IgnoreLengths,
    InferLengths,
    LongMemory,
    NegateLoss,
    RemoveLayer,
    ScaleTargets,
    TakeLog,
)
from minidl.nn import Softmax


def inputs(verdict, evidence):
    """Inputs that say nothing, or nothing that the model could hear."""
    if any(x.constant >= 1 for x in evidence.inputs if not x.integer):
        return [Advice("the input is the same in every sample: look at how the data is read")]
    if not evidence.batches:
        return []
    usable = [i for i, x in enumerate(evidence.inputs) if not x.integer and not x.nonfinite]
    return [remedy for i in usable for remedy in normalised(evidence, i)] + structural(evidence)[:1]


def mismatch(verdict, evidence):
    """Losses, last layers and targets that do not fit."""
    target, output = evidence.target, evidence.output
    if bottomless(evidence):
        order = [AppendLogSoftmax(), NegateLoss()]
        return order if is_nll(evidence) else order[::-1]
    if are_probabilities(output) and target.dtype.kind in "iu":
        path, last = list(evidence.model.named_modules())[-1]
        return [RemoveLayer(path), TakeLog()] if path and isinstance(last, Softmax) else [TakeLog()]
    if "z" not in verdict.evidence and target.dtype.kind == "f" and evidence.batches and target.std() > 0:
        return [ScaleTargets.from_batches(evidence.batches), *clip(evidence)]
    advice = Advice("the targets do not belong to these inputs, as far as can be seen: check how they are paired")
    return [advice, *sequence_remedies(evidence)]


def are_probabilities(output):
    """Whether outputs are positive and add up to 1."""
    return output is not None and output.ndim > 1 and (output >= 0).all() and np.allclose(output.sum(-1), 1, atol=1e-4)


def bottomless(evidence):
    """Whether a loss for labels falls below 0, so that it has no lowest value."""
    losses = np.concatenate([evidence.losses, *evidence.trials.values()])
    return evidence.target is not None and evidence.target.dtype.kind in "iu" and losses.min(initial=0) < 0


def sequence_remedies(evidence):
    """Recurrent layers may not hear the labels, because they forget."""
    return [LongMemory(memory_of(evidence))] if evidence.times else []


def is_nll(evidence):
    """Whether the loss is the negative output at the target: `nll_loss`, of what are no log-probabilities."""
    output = evidence.output
    if output is None or output.ndim != 2 or has_log_softmax(output):
        return False
    for (*_, target), loss in zip(evidence.batches, evidence.losses, strict=False):
        target = np.asarray(target)
        if target.shape == output.shape[:1] and target.min() >= 0 and target.max() < output.shape[1]:
            chosen = output[np.arange(len(output)), target]
            if np.isclose(loss, -chosen.mean(), rtol=1e-3, atol=1e-5):
                return True
    return False


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
